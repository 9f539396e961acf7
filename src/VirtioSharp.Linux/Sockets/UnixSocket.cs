using System.Diagnostics;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>One end of a connection between two processes of this machine: a byte stream that carries descriptors too (unix(7)).</summary>
/// <remarks>
/// A stream: one send may arrive in several receives and several sends in one. Descriptors arrive with the first byte
/// they were sent with. <see cref="UnixListener"/> makes the serving end. Not for use by two threads in the same direction.
/// </remarks>
public sealed unsafe partial class UnixSocket : IDisposable
{
    internal UnixSocket(FileDescriptor descriptor) => Descriptor = descriptor;

    /// <summary>To register with an <see cref="EventLoop"/>. Owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Who is at the other end.</summary>
    /// <exception cref="LinuxException">ENOTCONN and the like.</exception>
    public PeerCredentials Peer
    {
        get
        {
            SysSocket.Ucred peer = default;
            uint size = (uint)sizeof(SysSocket.Ucred);
            if (SysSocket.getsockopt(Descriptor, SysSocket.SOL_SOCKET, SysSocket.SO_PEERCRED, &peer, &size) < 0)
                LinuxException.ThrowLast("getsockopt SO_PEERCRED");
            return new PeerCredentials(peer.Pid, peer.Uid, peer.Gid);
        }
    }

    /// <summary>Connects to a listening socket.</summary>
    /// <param name="path">Its file, at most 107 bytes.</param>
    /// <param name="nonBlocking">Whether the connection's calls return <see cref="WouldBlock"/>. Connecting itself waits
    /// while the listener's backlog is full.</param>
    /// <exception cref="LinuxException">ENOENT: no such file; ECONNREFUSED: nobody listens there; EACCES; ENAMETOOLONG.</exception>
    public static UnixSocket Connect(string path, bool nonBlocking = false)
    {
        SysSocket.SockaddrUn address = UnixAddress.Of(path, "connect");
        FileDescriptor descriptor = NewDescriptor();
        try
        {
            while (SysSocket.connect(descriptor, &address, UnixAddress.Size) < 0)
            {
                Errno errno = Libc.LastError;
                if (errno != Errno.EINTR)
                    throw new LinuxException(errno, $"connect {path}");
            }

            if (nonBlocking)
                descriptor.SetNonBlocking();
            return new UnixSocket(descriptor);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Connects, and gives up when the listener's backlog stays full. The connection's calls return <see cref="WouldBlock"/>.</summary>
    /// <param name="path">Its file, at most 107 bytes.</param>
    /// <param name="timeout">How long to wait for room in the backlog.</param>
    /// <exception cref="LinuxException">EAGAIN: nobody accepts; ENOENT, ECONNREFUSED, EACCES, ENAMETOOLONG.</exception>
    public static UnixSocket Connect(string path, TimeSpan timeout)
    {
        SysSocket.SockaddrUn address = UnixAddress.Of(path, "connect");
        FileDescriptor descriptor = NewDescriptor(nonBlocking: true);
        long start = Stopwatch.GetTimestamp();
        while (SysSocket.connect(descriptor, &address, UnixAddress.Size) < 0)
        {
            Errno errno = Libc.LastError;
            if (errno == Errno.EINTR)
                continue;
            if (errno != Errno.EAGAIN || Stopwatch.GetElapsedTime(start) > timeout)
            {
                descriptor.Dispose();
                throw new LinuxException(errno, $"connect {path}");
            }

            Thread.Sleep(1); // the kernel has no event for room in a backlog
        }

        return new UnixSocket(descriptor);
    }

    /// <summary>Two ends connected to each other (socketpair(2)).</summary>
    /// <param name="nonBlocking">Whether both ends' calls return <see cref="WouldBlock"/>.</param>
    /// <exception cref="LinuxException">EMFILE, ENFILE.</exception>
    public static (UnixSocket First, UnixSocket Second) Pair(bool nonBlocking = false)
    {
        int* pair = stackalloc int[2];
        if (SysSocket.socketpair(SysSocket.AF_UNIX, TypeFor(nonBlocking), 0, pair) < 0)
            LinuxException.ThrowLast("socketpair");
        return (new UnixSocket(FileDescriptor.Adopt(pair[0])), new UnixSocket(FileDescriptor.Adopt(pair[1])));
    }

    /// <summary>Takes ownership of a connected socket that this program was started with.</summary>
    /// <param name="descriptor">Closed also when it is refused.</param>
    /// <param name="nonBlocking">Makes it non-blocking; false leaves it as it is.</param>
    /// <exception cref="LinuxException">EBADF: not open; ENOTSOCK: not a socket.</exception>
    public static UnixSocket Adopt(FileDescriptor descriptor, bool nonBlocking = false)
    {
        try
        {
            RequireSocket(descriptor);
            if (nonBlocking)
                descriptor.SetNonBlocking();
            return new UnixSocket(descriptor);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Closes this end.</summary>
    public void Dispose() => Descriptor.Dispose();

    internal static FileDescriptor NewDescriptor(bool nonBlocking = false)
    {
        int fd = SysSocket.socket(SysSocket.AF_UNIX, TypeFor(nonBlocking), 0);
        if (fd < 0)
            LinuxException.ThrowLast("socket");
        return FileDescriptor.Adopt(fd);
    }

    internal static void RequireSocket(FileDescriptor descriptor)
    {
        FileKind kind = FileFacts.Of(descriptor).Kind;
        if (kind != FileKind.Socket)
            throw new LinuxException(Errno.ENOTSOCK, $"adopt {descriptor}", $"it is {descriptor.Describe() ?? kind.ToString()}, not a socket");
    }

    private static int TypeFor(bool nonBlocking) =>
        SysSocket.SOCK_STREAM | SysSocket.SOCK_CLOEXEC | (nonBlocking ? SysSocket.SOCK_NONBLOCK : 0);
}
