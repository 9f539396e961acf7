using Microsoft.Extensions.Logging;
using VirtioSharp.Core.Device;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>Obeys the messages about the device's state ("Migrating back-end state"): one transfer at a time, while the device is suspended.</summary>
internal sealed class StateMessages(IncomingMessage message, DeviceHost host, RingSet rings, EventLoop loop, ILogger log) : IDisposable
{
    private StateTransfer? _transfer;

    /// <returns>Whether it could be granted; null when the message is none of these.</returns>
    public bool? Obey()
    {
        switch (message.Request)
        {
            case FrontEndRequest.SetDeviceStateFd:
                string? refusal = Begin(message.Read<DeviceStateTransfer>(), message.TakeFd());
                if (refusal is not null)
                    log.StateFailed(refusal);
                message.Reply(DeviceStateTransfer.NoFd | (refusal is null ? 0UL : 1));
                return true;
            case FrontEndRequest.CheckDeviceState:
                message.Reply(Check() ? 0UL : 1);
                return true;
            default:
                return null;
        }
    }

    public void Dispose() => _transfer?.Dispose();

    /// <returns>Why not; null when it has begun.</returns>
    private string? Begin(DeviceStateTransfer asked, FileDescriptor channel)
    {
        string? refusal =
            asked.Direction is not (DeviceStateTransfer.Save or DeviceStateTransfer.Load) ? $"direction = {asked.Direction} is neither 0 (save) nor 1 (load)"
            : asked.Phase != DeviceStateTransfer.Stopped ? $"phase = {asked.Phase} is not 0 (stopped)"
            : !rings.IsSuspended ? "rings are started: the device is not suspended"
            : _transfer is { IsUnderWay: true } ? "another transfer is under way"
            : null;
        if (refusal is not null)
        {
            channel.Dispose();
            return refusal;
        }

        try
        {
            PipeEnd end = PipeEnd.Adopt(channel);
            _transfer?.Dispose();
            _transfer = null; // nor is it asked about any more, if this one cannot begin
            _transfer = asked.Direction == DeviceStateTransfer.Save
                ? StateTransfer.Save(end, loop, host, log)
                : StateTransfer.Load(end, loop, Load, log);
            return null;
        }
        catch (Exception refused) when (refused is not OutOfMemoryException) // the kernel's, or the device's, which cannot say what its state is
        {
            return refused.Message;
        }
    }

    private void Load(ReadOnlySpan<byte> state)
    {
        if (!rings.IsSuspended)
            throw new FormatException("rings were started meanwhile: the device is not suspended");
        host.LoadState(state);
    }

    /// <summary>How the last transfer went. A front-end asks when it has seen the end of it, or has closed its own end: so there is
    /// nothing to wait for, and one that is still under way has failed.</summary>
    private bool Check()
    {
        if (_transfer is not { } transfer)
            return false;
        _transfer = null;
        return transfer.Finish();
    }
}
