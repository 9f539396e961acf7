using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/uio.h&gt;: preadv2(2), pwritev2(2). The buffers are struct iovec, an address and a length.</summary>
internal static unsafe partial class SysUio
{
    /// <summary>Most buffers of one call (IOV_MAX).</summary>
    public const int IOV_MAX = 1024;

    /// <summary>This write as if the file were open with O_DSYNC.</summary>
    public const int RWF_DSYNC = 2;

    [LibraryImport(Libc.Name)]
    public static partial nint preadv2(FileDescriptor fd, IoVector* buffers, int count, long offset, int flags);

    [LibraryImport(Libc.Name)]
    public static partial nint pwritev2(FileDescriptor fd, IoVector* buffers, int count, long offset, int flags);
}
