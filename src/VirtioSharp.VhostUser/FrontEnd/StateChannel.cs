using System.Runtime.InteropServices;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>SET_DEVICE_STATE_FD and CHECK_DEVICE_STATE: fetches a suspended back-end's state, and gives it to another. What is in it is
/// the back-ends' business.</summary>
internal static class StateChannel
{
    /// <summary>More than any device has: a back-end that sends on and on is one that does not end.</summary>
    private const int MaxBytes = 64 << 20;

    /// <summary>Fetches it.</summary>
    /// <exception cref="VhostUserException">The back-end refuses, or fails.</exception>
    public static byte[] Save(FrontEndChannel channel, TimeSpan timeout)
    {
        (PipeEnd ours, PipeEnd theirs) = PipeEnd.Create();
        using PipeEnd end = Agree(channel, DeviceStateTransfer.Save, ours, theirs);
        using var state = new MemoryStream();
        byte[] piece = new byte[64 * 1024];
        while (true)
        {
            int read = Try(() => end.Read(piece));
            if (read == 0)
                break;
            if (read == PipeEnd.WouldBlock)
            {
                if (!Readiness.WaitReadable(end.Descriptor, timeout))
                    throw TimedOut(timeout, state.Length);
                continue;
            }

            state.Write(piece, 0, read);
            if (state.Length > MaxBytes)
                throw new VhostUserException(VhostUserFailure.BrokenRules, FrontEndRequest.SetDeviceStateFd, $"the back-end's state does not end: {state.Length} bytes have come");
        }

        Check(channel);
        return state.ToArray();
    }

    /// <summary>Gives it.</summary>
    /// <exception cref="VhostUserException">The back-end refuses, or fails.</exception>
    public static void Load(FrontEndChannel channel, ReadOnlyMemory<byte> state, TimeSpan timeout)
    {
        (PipeEnd theirs, PipeEnd ours) = PipeEnd.Create();
        using (PipeEnd end = Agree(channel, DeviceStateTransfer.Load, ours, theirs))
        {
            for (int sent = 0; sent < state.Length;)
            {
                int written = Try(() => end.Write(state.Span[sent..]));
                if (written != PipeEnd.WouldBlock)
                    sent += written;
                else if (!Readiness.WaitWritable(end.Descriptor, timeout))
                    throw TimedOut(timeout, sent);
            }
        }

        Check(channel);
    }

    /// <returns>Our end: of the pipe, or of what the back-end has in its place.</returns>
    private static PipeEnd Agree(FrontEndChannel channel, uint direction, PipeEnd ours, PipeEnd theirs)
    {
        using (theirs)
        {
            try
            {
                var transfer = new DeviceStateTransfer(direction, DeviceStateTransfer.Stopped);
                ulong answer = MemoryMarshal.Read<ulong>(channel.Ask(
                    FrontEndRequest.SetDeviceStateFd, MemoryMarshal.AsBytes(new ReadOnlySpan<DeviceStateTransfer>(in transfer)), [theirs.Descriptor], maxFds: 1, sizeof(ulong)));
                FileDescriptor? file = channel.TakeFd();
                if ((answer & DeviceStateTransfer.Error) != 0 || (answer & DeviceStateTransfer.NoFd) == 0 != file is not null)
                {
                    file?.Dispose();
                    throw new VhostUserException(VhostUserFailure.Refused, FrontEndRequest.SetDeviceStateFd, $"the back-end refused SET_DEVICE_STATE_FD: it answered 0x{answer:x}");
                }

                if (file is null)
                    return ours;
                ours.Dispose();
                return PipeEnd.Adopt(file);
            }
            catch
            {
                ours.Dispose();
                throw;
            }
        }
    }

    private static void Check(FrontEndChannel channel)
    {
        ulong answer = channel.Ask<ulong>(FrontEndRequest.CheckDeviceState);
        if (answer != 0)
            throw new VhostUserException(VhostUserFailure.Refused, FrontEndRequest.CheckDeviceState, $"the back-end has not got its device's state across: it answered {answer}");
    }

    private static int Try(Func<int> move)
    {
        try
        {
            return move();
        }
        catch (LinuxException gone) when (gone.Errno == Errno.EPIPE)
        {
            throw new VhostUserException(VhostUserFailure.Refused, FrontEndRequest.SetDeviceStateFd, "the back-end has stopped reading its device's state", gone);
        }
    }

    private static VhostUserException TimedOut(TimeSpan timeout, long bytes) =>
        new(VhostUserFailure.TimedOut, FrontEndRequest.SetDeviceStateFd, $"the device's state has not gone on for {timeout.TotalSeconds} s, after {bytes} bytes");
}
