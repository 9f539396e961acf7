using System.Net;
using System.Net.Sockets;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>A connection to a server on this machine or another, never blocking, whose bytes go from and to memory in pieces.</summary>
/// <remarks>Over TCP a machine that has vanished is noticed after half a minute, also when nothing is being sent (tcp(7)).</remarks>
public sealed unsafe class StreamSocket : IDisposable
{
    /// <summary>Returned in place of a byte count: nothing happened, as the call would have blocked.</summary>
    public const int WouldBlock = -1;

    private const int KeepIdleSeconds = 15, KeepIntervalSeconds = 5, KeepCount = 3, UserTimeoutMilliseconds = 30_000;

    private readonly EndPoint _to;

    private StreamSocket(FileDescriptor descriptor, EndPoint to) => (Descriptor, _to) = (descriptor, to);

    /// <summary>To register with an <see cref="EventLoop"/>. Owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Begins to connect. The descriptor is writable when that has ended; then <see cref="FinishConnecting"/> says how.</summary>
    /// <param name="to">A path, or an address with a port.</param>
    /// <exception cref="LinuxException">ENOENT, ECONNREFUSED, EACCES, EAGAIN: a path's backlog is full.</exception>
    public static StreamSocket BeginConnecting(EndPoint to)
    {
        SocketAddress address = to.Serialize(); // laid out as the kernel's sockaddr
        int family = to.AddressFamily switch
        {
            AddressFamily.Unix => SysSocket.AF_UNIX,
            AddressFamily.InterNetworkV6 => SysSocket.AF_INET6,
            _ => SysSocket.AF_INET,
        };
        int fd = SysSocket.socket(family, SysSocket.SOCK_STREAM | SysSocket.SOCK_CLOEXEC | SysSocket.SOCK_NONBLOCK, 0);
        if (fd < 0)
            LinuxException.ThrowLast("socket");
        FileDescriptor descriptor = FileDescriptor.Adopt(fd);
        fixed (byte* bytes = address.Buffer.Span)
        {
            if (SysSocket.connect(descriptor, bytes, (uint)address.Size) < 0
                && Libc.LastError is var errno and not (Errno.EINPROGRESS or Errno.EINTR)) // interrupted, it goes on as well
            {
                descriptor.Dispose();
                throw new LinuxException(errno, $"connect {to}");
            }
        }

        if (family != SysSocket.AF_UNIX)
        {
            Set(descriptor, SysSocket.IPPROTO_TCP, SysSocket.TCP_NODELAY, 1);
            Set(descriptor, SysSocket.SOL_SOCKET, SysSocket.SO_KEEPALIVE, 1);
            Set(descriptor, SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPIDLE, KeepIdleSeconds);
            Set(descriptor, SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPINTVL, KeepIntervalSeconds);
            Set(descriptor, SysSocket.IPPROTO_TCP, SysSocket.TCP_KEEPCNT, KeepCount);
            Set(descriptor, SysSocket.IPPROTO_TCP, SysSocket.TCP_USER_TIMEOUT, UserTimeoutMilliseconds);
        }

        return new StreamSocket(descriptor, to);
    }

    /// <summary>Connecting has ended: how.</summary>
    /// <exception cref="LinuxException">ECONNREFUSED, ETIMEDOUT, …</exception>
    public void FinishConnecting()
    {
        int error = 0;
        uint size = sizeof(int);
        if (SysSocket.getsockopt(Descriptor, SysSocket.SOL_SOCKET, SysSocket.SO_ERROR, &error, &size) < 0)
            LinuxException.ThrowLast("getsockopt SO_ERROR");
        if (error != 0)
            throw new LinuxException((Errno)error, $"connect {_to}");
    }

    /// <summary>Sends what the peer has room for.</summary>
    /// <param name="pieces">At least one byte, in at most 1024 pieces.</param>
    /// <returns>Bytes sent, or <see cref="WouldBlock"/>.</returns>
    /// <exception cref="LinuxException">EPIPE, ECONNRESET: the peer is gone (no SIGPIPE is raised).</exception>
    public nint Send(ReadOnlySpan<IoVector> pieces)
    {
        fixed (IoVector* first = pieces)
        {
            SysSocket.Msghdr message = new() { Iov = (SysSocket.Iovec*)first, IovLength = (nuint)pieces.Length };
            while (true)
            {
                nint sent = SysSocket.sendmsg(Descriptor, &message, SysSocket.MSG_NOSIGNAL);
                if (sent >= 0)
                    return sent;
                Errno errno = Libc.LastError;
                if (errno == Errno.EAGAIN)
                    return WouldBlock;
                if (errno != Errno.EINTR)
                    throw new LinuxException(errno, "sendmsg");
            }
        }
    }

    /// <summary>Receives what is there.</summary>
    /// <param name="pieces">Room for at least one byte, in at most 1024 pieces.</param>
    /// <returns>Bytes received; 0 when the peer has closed; <see cref="WouldBlock"/>.</returns>
    /// <exception cref="LinuxException">ECONNRESET, ETIMEDOUT: the peer is gone.</exception>
    public nint Receive(ReadOnlySpan<IoVector> pieces)
    {
        fixed (IoVector* first = pieces)
        {
            SysSocket.Msghdr message = new() { Iov = (SysSocket.Iovec*)first, IovLength = (nuint)pieces.Length };
            while (true)
            {
                nint received = SysSocket.recvmsg(Descriptor, &message, 0);
                if (received >= 0)
                    return received;
                Errno errno = Libc.LastError;
                if (errno == Errno.EAGAIN)
                    return WouldBlock;
                if (errno != Errno.EINTR)
                    throw new LinuxException(errno, "recvmsg");
            }
        }
    }

    /// <summary>Closes this end. Over TCP what is not sent yet never will be, and the peer sees a reset in place of an end (socket(7): SO_LINGER).</summary>
    public void Abort()
    {
        SysSocket.Linger notAtAll = new() { IsOn = 1, Seconds = 0 };
        _ = SysSocket.setsockopt(Descriptor, SysSocket.SOL_SOCKET, SysSocket.SO_LINGER, &notAtAll, (uint)sizeof(SysSocket.Linger));
        Dispose();
    }

    /// <summary>Closes this end.</summary>
    public void Dispose() => Descriptor.Dispose();

    private static void Set(FileDescriptor descriptor, int level, int name, int value) =>
        _ = SysSocket.setsockopt(descriptor, level, name, &value, sizeof(int)); // it works without, only later
}
