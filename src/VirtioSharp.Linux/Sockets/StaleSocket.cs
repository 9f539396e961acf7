using System.Text;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Tells a socket file that a dead daemon left behind from everything else that may lie at its path.</summary>
internal static unsafe class StaleSocket
{
    /// <summary>Clears the path for bind(), or says why not.</summary>
    /// <exception cref="LinuxException">EADDRINUSE: somebody answers; EEXIST: not a socket; what else connect() says.</exception>
    public static void RemoveFrom(string path, in SysSocket.SockaddrUn address)
    {
        if (FileFacts.OfPath(path) is not { } found)
            return;
        if (found.Kind != FileKind.Socket)
            throw new LinuxException(Errno.EEXIST, $"bind {path}", $"a file that is not a socket is there ({found.Kind})");

        switch (Probe(address))
        {
            case Errno.ECONNREFUSED:
                UnlinkIfStill(path, found.Identity);
                return;
            case Errno.ENOENT: // its daemon has just removed it
                return;
            case Errno.None:
            case Errno.EAGAIN: // its backlog is full: somebody listens
            case Errno.EPROTOTYPE: // a datagram socket: somebody reads
                throw new LinuxException(Errno.EADDRINUSE, $"bind {path}");
            case Errno other:
                throw new LinuxException(other, $"connect {path}");
        }
    }

    /// <summary>Removes the file unless another has taken its place.</summary>
    public static void UnlinkIfStill(string path, FileIdentity file)
    {
        try
        {
            if (FileFacts.OfPath(path)?.Identity != file)
                return;
        }
        catch (LinuxException)
        {
            return; // a path that can no longer be looked at is not ours to tidy
        }

        fixed (byte* name = Encoding.UTF8.GetBytes(path + '\0'))
            _ = Unistd.unlink(name); // if it must not be removed, bind says so
    }

    private static Errno Probe(in SysSocket.SockaddrUn address)
    {
        // Non-blocking, as a full backlog would keep a blocking connect() waiting for a daemon that may be hung.
        using FileDescriptor probe = UnixSocket.NewDescriptor(nonBlocking: true);
        fixed (SysSocket.SockaddrUn* target = &address)
        {
            while (SysSocket.connect(probe, target, UnixAddress.Size) < 0)
            {
                Errno errno = Libc.LastError;
                if (errno != Errno.EINTR)
                    return errno;
            }
        }

        return Errno.None;
    }
}
