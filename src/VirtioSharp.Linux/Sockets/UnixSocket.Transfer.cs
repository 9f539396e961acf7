using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

// Bytes and descriptors, in and out. A descriptor travels as a control message beside the bytes (cmsg(3)):
//
//   msghdr ─┬─ iovec    ─► data
//           └─ control  ─► cmsghdr { length, SOL_SOCKET, SCM_RIGHTS } int int int …
public sealed unsafe partial class UnixSocket
{
    /// <summary>Returned in place of a byte count: nothing happened, as the call would have blocked.</summary>
    public const int WouldBlock = -1;

    /// <summary>Receives bytes and the descriptors that came with them (recvmsg(2)).</summary>
    /// <param name="buffer">At least one byte long.</param>
    /// <param name="fds">Owns every descriptor received, close-on-exec, after those it holds already. Look at
    /// <see cref="ReceivedFds.Truncated"/>.</param>
    /// <returns>Bytes received; 0 when the peer has closed; <see cref="WouldBlock"/>.</returns>
    /// <exception cref="LinuxException">ECONNRESET: the peer closed without reading what we had sent.</exception>
    public int ReceiveWithFds(Span<byte> buffer, ReceivedFds fds)
    {
        if (buffer.IsEmpty)
            throw new ArgumentException("Receiving nothing cannot be told from the peer's close.", nameof(buffer));

        fixed (byte* bytes = buffer)
        {
            SysSocket.Iovec part = new() { Base = bytes, Length = (nuint)buffer.Length };
            while (true)
            {
                SysSocket.Msghdr message = new() { Iov = &part, IovLength = 1 };
                fds.LendControl(ref message);
                nint received = SysSocket.recvmsg(Descriptor, &message, SysSocket.MSG_CMSG_CLOEXEC);
                if (received >= 0)
                {
                    fds.Adopt(message);
                    return (int)received;
                }

                Errno errno = Libc.LastError;
                if (errno == Errno.EAGAIN)
                    return WouldBlock;
                if (errno != Errno.EINTR)
                    throw new LinuxException(errno, "recvmsg");
            }
        }
    }

    /// <summary>Sends bytes, and descriptors with the first of them (sendmsg(2)).</summary>
    /// <param name="data">At least one byte.</param>
    /// <param name="fds">At most 253, still owned by the caller.</param>
    /// <returns>Bytes sent, at least one; all descriptors went with them, and the caller sends the rest without.
    /// Or <see cref="WouldBlock"/>: nothing was sent.</returns>
    /// <exception cref="LinuxException">EPIPE: the peer has closed (no SIGPIPE is raised).</exception>
    public int SendWithFds(ReadOnlySpan<byte> data, ReadOnlySpan<FileDescriptor> fds) => Send(data, fds, flags: 0);

    /// <summary>Sends everything, waiting for room whether the socket is non-blocking or not.</summary>
    /// <param name="data">At least one byte.</param>
    /// <param name="fds">At most 253, still owned by the caller.</param>
    /// <param name="timeout">How long the peer may leave the socket full, each time, before it is given up on.</param>
    /// <exception cref="LinuxException">EPIPE: the peer has closed; EAGAIN: the timeout passed without progress, and the
    /// stream may have been cut in the middle of the message.</exception>
    public void SendAllWithFds(ReadOnlySpan<byte> data, ReadOnlySpan<FileDescriptor> fds, TimeSpan timeout)
    {
        do
        {
            int sent = Send(data, fds, SysSocket.MSG_DONTWAIT); // waiting happens below, where it has a limit
            if (sent == WouldBlock)
            {
                if (!Readiness.WaitWritable(Descriptor, timeout))
                    throw new LinuxException(Errno.EAGAIN, "sendmsg", $"the peer does not read; {data.Length} bytes are left");
                continue;
            }

            data = data[sent..];
            fds = []; // sent again they would be a second set of descriptors for the peer
        }
        while (!data.IsEmpty);
    }

    private int Send(ReadOnlySpan<byte> data, ReadOnlySpan<FileDescriptor> fds, int flags)
    {
        if (data.IsEmpty)
            throw new ArgumentException("Descriptors travel with a byte; there is none.", nameof(data));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fds.Length, SysSocket.MaxFdsPerMessage, nameof(fds));
        if (fds.IsEmpty)
            return Send(data, null, 0, flags);

        int length = SysSocket.CmsgLength(fds.Length);
        byte* control = stackalloc byte[SysSocket.CmsgAlign(length)];
        *(SysSocket.Cmsghdr*)control = new SysSocket.Cmsghdr
        {
            Length = (nuint)length,
            Level = SysSocket.SOL_SOCKET,
            Type = SysSocket.SCM_RIGHTS,
        };
        int* numbers = (int*)(control + sizeof(SysSocket.Cmsghdr));
        int held = 0;
        try
        {
            for (; held < fds.Length; held++)
            {
                // The numbers go inside a buffer: nobody may close and reuse them before sendmsg has looked.
                bool added = false;
                fds[held].DangerousAddRef(ref added);
                numbers[held] = fds[held].Number;
            }

            return Send(data, control, length, flags);
        }
        finally
        {
            while (held > 0)
                fds[--held].DangerousRelease();
        }
    }

    private int Send(ReadOnlySpan<byte> data, byte* control, int controlLength, int flags)
    {
        fixed (byte* bytes = data)
        {
            SysSocket.Iovec part = new() { Base = bytes, Length = (nuint)data.Length };
            SysSocket.Msghdr message = new()
            {
                Iov = &part,
                IovLength = 1,
                Control = control,
                ControlLength = (nuint)controlLength,
            };
            while (true)
            {
                nint sent = SysSocket.sendmsg(Descriptor, &message, flags | SysSocket.MSG_NOSIGNAL);
                if (sent >= 0)
                    return (int)sent;
                Errno errno = Libc.LastError;
                if (errno == Errno.EAGAIN)
                    return WouldBlock;
                if (errno != Errno.EINTR)
                    throw new LinuxException(errno, "sendmsg");
            }
        }
    }
}
