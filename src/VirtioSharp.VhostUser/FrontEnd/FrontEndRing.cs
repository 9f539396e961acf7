using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>One of the driver's queues as its back-end is told of it: place, position, and three eventfds that last as long as the front-end.</summary>
internal sealed class FrontEndRing : IDisposable
{
    private readonly PollSet _callOnly = new(1); // for a thread that waits for this ring alone

    public FrontEndRing() => _callOnly.Set(0, Call.Descriptor);

    /// <summary>Available buffer notifications.</summary>
    public EventFd Kick { get; } = EventFd.Create();

    /// <summary>Used buffer notifications. While one is pending, it is in here.</summary>
    public EventFd Call { get; } = EventFd.Create();

    /// <summary>The back-end cannot go on with this ring.</summary>
    public EventFd Error { get; } = EventFd.Create();

    /// <summary>Where it is, once the driver has enabled it.</summary>
    public QueueLayout? Layout { get; set; }

    /// <summary>The driver's end, which knows what is in flight.</summary>
    public DriverQueue? Queue { get; set; }

    /// <summary>Whether the back-end may use it.</summary>
    public bool IsStarted { get; private set; }

    /// <summary>While it may not: where it said that it stopped (GET_VRING_BASE), if one has used it.</summary>
    public uint? StoppedAt { get; private set; }

    /// <summary>Starts it: it is the kick descriptor that does, or the first kick in-band.</summary>
    public void Start(BackEndLink link, int index, QueueSnapshot at, bool isPacked)
    {
        FrontEndChannel channel = link.Channel;
        QueueLayout layout = Layout!.Value;
        channel.Send(FrontEndRequest.SetVringNum, new VringState((uint)index, (uint)layout.Size));
        channel.Send(FrontEndRequest.SetVringBase, new VringState((uint)index, at.ToVringBase(isPacked)));
        channel.Send(FrontEndRequest.SetVringAddr, new VringAddress(
            (uint)index,
            flags: 0,
            DriverMemory.ToBackEnd(layout.DescriptorArea, link),
            DriverMemory.ToBackEnd(layout.DeviceArea, link),
            DriverMemory.ToBackEnd(layout.DriverArea, link),
            log: 0));
        if (link.Has(ProtocolFeatures.InbandNotifications))
        {
            (IsStarted, StoppedAt) = (true, null);
            channel.Send(FrontEndRequest.VringKick, new VringState((uint)index, 0));
        }
        else
        {
            channel.Send(FrontEndRequest.SetVringErr, (ulong)index, Error.Descriptor);
            channel.Send(FrontEndRequest.SetVringCall, (ulong)index, Call.Descriptor);
            (IsStarted, StoppedAt) = (true, null); // perhaps even if it refuses the kick
            channel.Send(FrontEndRequest.SetVringKick, (ulong)index, Kick.Descriptor);
        }

        if (link.HasProtocolFeatures)
            channel.Send(FrontEndRequest.SetVringEnable, new VringState((uint)index, 1));
    }

    /// <summary>Takes it back: after the answer to GET_VRING_BASE, and not before, the back-end does not touch it.</summary>
    public void Stop(BackEndLink link, int index)
    {
        if (!IsStarted)
            return;
        if (link.HasProtocolFeatures)
            Disable(link.Channel, index);
        VringState stopped = link.Channel.Ask<VringState, VringState>(FrontEndRequest.GetVringBase, new VringState((uint)index, 0));
        if (stopped.Index != (uint)index)
            throw link.Channel.Distrust(FrontEndRequest.GetVringBase, $"GET_VRING_BASE: ring {stopped.Index} in the answer about ring {index}");
        (IsStarted, StoppedAt) = (false, stopped.Num);
    }

    /// <summary>Waits for a used buffer notification and takes it.</summary>
    /// <returns>False when the time ran out.</returns>
    public bool WaitForCall(TimeSpan timeout) => _callOnly.Wait(timeout) > 0 && Call.TryDrain(out _);

    /// <summary>The driver has reset its device: it will lay the queue out again.</summary>
    public void Forget() => (IsStarted, StoppedAt, Layout, Queue) = (false, null, null, null);

    public void Dispose()
    {
        _callOnly.Dispose();
        Kick.Dispose();
        Call.Dispose();
        Error.Dispose();
    }

    private static void Disable(FrontEndChannel channel, int index)
    {
        try
        {
            channel.Send(FrontEndRequest.SetVringEnable, new VringState((uint)index, 0));
        }
        catch (VhostUserException refused) when (refused.Failure == VhostUserFailure.Refused)
        {
            // Only a courtesy: it is GET_VRING_BASE that stops a ring.
        }
    }
}
