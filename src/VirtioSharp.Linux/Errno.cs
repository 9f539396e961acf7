namespace VirtioSharp.Linux;

/// <summary>The error numbers this library or its callers tell apart; names and meanings are errno(3)'s.</summary>
/// <remarks>x64 and arm64 share these values. A value without a name here still travels through <see cref="LinuxException"/>.</remarks>
public enum Errno
{
    /// <summary>No error.</summary>
    None = 0,

    /// <summary>Operation not permitted: here mostly a seal, or a descriptor that epoll cannot watch.</summary>
    EPERM = 1,

    /// <summary>No such file or directory.</summary>
    ENOENT = 2,

    /// <summary>A signal arrived first. Handled inside this library; callers do not see it.</summary>
    EINTR = 4,

    /// <summary>Input/output error.</summary>
    EIO = 5,

    /// <summary>The range lies outside the object.</summary>
    ENXIO = 6,

    /// <summary>The number is not an open descriptor.</summary>
    EBADF = 9,

    /// <summary>The call would block (also named EWOULDBLOCK).</summary>
    EAGAIN = 11,

    /// <summary>Out of memory.</summary>
    ENOMEM = 12,

    /// <summary>Permission denied.</summary>
    EACCES = 13,

    /// <summary>Resource busy.</summary>
    EBUSY = 16,

    /// <summary>It exists already.</summary>
    EEXIST = 17,

    /// <summary>No such device.</summary>
    ENODEV = 19,

    /// <summary>A part of the path is not a directory.</summary>
    ENOTDIR = 20,

    /// <summary>It is a directory.</summary>
    EISDIR = 21,

    /// <summary>Invalid argument.</summary>
    EINVAL = 22,

    /// <summary>The system has too many open files.</summary>
    ENFILE = 23,

    /// <summary>This process has too many open files.</summary>
    EMFILE = 24,

    /// <summary>The file would be too large.</summary>
    EFBIG = 27,

    /// <summary>No space left.</summary>
    ENOSPC = 28,

    /// <summary>The file system is read-only.</summary>
    EROFS = 30,

    /// <summary>The reading end is closed.</summary>
    EPIPE = 32,

    /// <summary>Name too long.</summary>
    ENAMETOOLONG = 36,

    /// <summary>The kernel does not have this call.</summary>
    ENOSYS = 38,

    /// <summary>There is less than there should be.</summary>
    ENODATA = 61,

    /// <summary>Not a socket.</summary>
    ENOTSOCK = 88,

    /// <summary>A socket of another type lives at the address.</summary>
    EPROTOTYPE = 91,

    /// <summary>Operation not supported.</summary>
    EOPNOTSUPP = 95,

    /// <summary>Address already in use.</summary>
    EADDRINUSE = 98,

    /// <summary>The peer gave up before it was accepted.</summary>
    ECONNABORTED = 103,

    /// <summary>The peer closed without reading what we had sent.</summary>
    ECONNRESET = 104,

    /// <summary>Not connected.</summary>
    ENOTCONN = 107,

    /// <summary>The peer did not answer in time.</summary>
    ETIMEDOUT = 110,

    /// <summary>Nobody listens there.</summary>
    ECONNREFUSED = 111,

    /// <summary>Connecting has begun and goes on.</summary>
    EINPROGRESS = 115,

    /// <summary>It was cancelled.</summary>
    ECANCELED = 125,
}
