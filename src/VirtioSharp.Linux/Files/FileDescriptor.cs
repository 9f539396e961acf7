using System.Runtime.InteropServices;
using VirtioSharp.Linux.Interop;

namespace VirtioSharp.Linux;

/// <summary>Owns one open file descriptor and closes it once, when disposed or finalized.</summary>
/// <remarks>
/// A call that is under way on another thread holds the descriptor open: its number cannot be reused under that call.
/// A descriptor is a reference to an <i>open file description</i>, which a peer may share; flags such as O_NONBLOCK
/// belong to the description (open(2)).
/// </remarks>
public sealed class FileDescriptor : SafeHandle
{
    private static readonly nint Invalid = -1;

    private FileDescriptor(int fd)
        : base(Invalid, ownsHandle: true) => SetHandle(fd);

    /// <inheritdoc/>
    public override bool IsInvalid => handle < 0;

    /// <summary>The number, for messages and for programs that are started with it. It may be closed at any time after.</summary>
    public int Number => (int)handle;

    /// <summary>Takes ownership of an open descriptor, which nobody else may close from now on.</summary>
    /// <param name="fd">Its number. Whether it is open is found out by the first call that uses it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is negative.</exception>
    public static FileDescriptor Adopt(int fd)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fd);
        return new FileDescriptor(fd);
    }

    /// <summary>A second descriptor of the same open file description, close-on-exec (F_DUPFD_CLOEXEC, fcntl(2)).</summary>
    /// <exception cref="LinuxException">EBADF, or EMFILE: too many open files.</exception>
    public FileDescriptor Duplicate()
    {
        int copy = Fcntl.fcntl(this, Fcntl.F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
            LinuxException.ThrowLast("fcntl F_DUPFD_CLOEXEC");
        return new FileDescriptor(copy);
    }

    /// <summary>Calls on this description return EAGAIN in place of blocking (O_NONBLOCK, fcntl(2)).</summary>
    /// <exception cref="LinuxException">EBADF.</exception>
    public void SetNonBlocking()
    {
        int flags = Fcntl.fcntl(this, Fcntl.F_GETFL, 0);
        if (flags < 0)
            LinuxException.ThrowLast("fcntl F_GETFL");
        if ((flags & Fcntl.O_NONBLOCK) == 0 && Fcntl.fcntl(this, Fcntl.F_SETFL, flags | Fcntl.O_NONBLOCK) < 0)
            LinuxException.ThrowLast("fcntl F_SETFL");
    }

    /// <summary>What it is, in the kernel's words, for logs: a path, <c>anon_inode:[eventfd]</c>, <c>socket:[4711]</c>,
    /// <c>/memfd:ram (deleted)</c>. Null when /proc does not say (proc(5)).</summary>
    public string? Describe()
    {
        try
        {
            return new FileInfo($"/proc/self/fd/{Number}").LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"fd {Number}";

    /// <inheritdoc/>
    // Not repeated on EINTR: Linux has freed the number by then (close(2)), and it may be somebody else's already.
    protected override bool ReleaseHandle() => Unistd.close((int)handle) == 0;
}
