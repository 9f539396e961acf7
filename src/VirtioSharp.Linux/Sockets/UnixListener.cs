using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>A socket that waits at a path for connections, and takes its file away when disposed.</summary>
/// <remarks>
/// A daemon that was killed leaves its socket's file behind. <see cref="Listen"/> replaces such a file only after a
/// connect() was refused there, so it neither steals a living daemon's address nor deletes somebody's file. Two daemons
/// that start at the same instant on one path may still take each other's fresh socket for a stale one.
/// </remarks>
public sealed unsafe class UnixListener : IDisposable
{
    private readonly FileIdentity? _file;

    private UnixListener(FileDescriptor descriptor, string? path, FileIdentity? file)
    {
        Descriptor = descriptor;
        Path = path;
        _file = file;
    }

    /// <summary>To register with an <see cref="EventLoop"/>: readable when somebody waits to be accepted. Owned by this object.</summary>
    public FileDescriptor Descriptor { get; }

    /// <summary>Where it listens; null when the socket was adopted.</summary>
    public string? Path { get; }

    /// <summary>Listens at a path, replacing the file of a daemon that is gone. The file's mode follows the umask.</summary>
    /// <param name="path">At most 107 bytes.</param>
    /// <param name="nonBlocking">Whether <see cref="Accept"/> returns null in place of waiting.</param>
    /// <param name="backlog">How many connections may wait to be accepted.</param>
    /// <param name="ownerOnly">Whether only its owner, and root, may connect, from the moment that the file is there.</param>
    /// <exception cref="LinuxException">EADDRINUSE: somebody answers there; EEXIST: a file that is not a socket is there;
    /// ENAMETOOLONG; EACCES; ENOENT: no such directory.</exception>
    public static UnixListener Listen(string path, bool nonBlocking = false, int backlog = 16, bool ownerOnly = false)
    {
        SysSocket.SockaddrUn address = UnixAddress.Of(path, "bind");
        StaleSocket.RemoveFrom(path, address);
        FileDescriptor descriptor = UnixSocket.NewDescriptor(nonBlocking);
        try
        {
            // The file is made with the socket's own mode.
            if (ownerOnly && SysStat.fchmod(descriptor, SysStat.OwnerReadWrite) < 0)
                LinuxException.ThrowLast("fchmod", path);
            if (SysSocket.bind(descriptor, &address, UnixAddress.Size) < 0)
                LinuxException.ThrowLast("bind", path);
            UnixListener listener = new(descriptor, path, FileFacts.OfPath(path)?.Identity);
            if (SysSocket.listen(descriptor, backlog) < 0)
            {
                LinuxException failure = new(Libc.LastError, $"listen {path}");
                listener.Dispose();
                throw failure;
            }

            return listener;
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Takes ownership of a listening socket that this program was started with; its file stays its creator's.</summary>
    /// <param name="descriptor">Closed also when it is refused.</param>
    /// <param name="nonBlocking">Makes it non-blocking; false leaves it as it is.</param>
    /// <exception cref="LinuxException">EBADF: not open; ENOTSOCK: not a socket; EINVAL: a socket that does not listen.</exception>
    public static UnixListener Adopt(FileDescriptor descriptor, bool nonBlocking = false)
    {
        try
        {
            UnixSocket.RequireSocket(descriptor);
            if (!IsListening(descriptor))
                throw new LinuxException(Errno.EINVAL, $"adopt {descriptor}", "the socket does not listen");
            if (nonBlocking)
                descriptor.SetNonBlocking();
            return new UnixListener(descriptor, path: null, file: null);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Tells a listening socket from a connected one (SO_ACCEPTCONN, socket(7)), for programs started with either.</summary>
    /// <exception cref="LinuxException">EBADF, ENOTSOCK.</exception>
    public static bool IsListening(FileDescriptor descriptor)
    {
        int listens = 0;
        uint size = sizeof(int);
        if (SysSocket.getsockopt(descriptor, SysSocket.SOL_SOCKET, SysSocket.SO_ACCEPTCONN, &listens, &size) < 0)
            LinuxException.ThrowLast("getsockopt SO_ACCEPTCONN");
        return listens != 0;
    }

    /// <summary>Takes the next connection.</summary>
    /// <param name="nonBlocking">Whether the connection's calls return <see cref="UnixSocket.WouldBlock"/>.</param>
    /// <returns>The connection; null when nobody waits and this listener is non-blocking.</returns>
    /// <exception cref="LinuxException">EMFILE, ENFILE: too many open files. The caller still waits, so a loop that comes
    /// back at once spins.</exception>
    public UnixSocket? Accept(bool nonBlocking = false)
    {
        int flags = SysSocket.SOCK_CLOEXEC | (nonBlocking ? SysSocket.SOCK_NONBLOCK : 0);
        while (true)
        {
            int fd = SysSocket.accept4(Descriptor, null, null, flags);
            if (fd >= 0)
                return new UnixSocket(FileDescriptor.Adopt(fd));
            Errno errno = Libc.LastError;
            if (errno == Errno.EAGAIN)
                return null;
            if (errno is not (Errno.EINTR or Errno.ECONNABORTED))
                throw new LinuxException(errno, Path is null ? "accept" : $"accept {Path}");
        }
    }

    /// <summary>Stops listening, and removes the socket's file if it is still the one this listener created.</summary>
    public void Dispose()
    {
        if (Descriptor.IsClosed)
            return;

        // Before closing: while our socket is open its inode number cannot be given to a successor's file.
        if (_file is not null)
            StaleSocket.UnlinkIfStill(Path!, _file.Value);
        Descriptor.Dispose();
    }
}
