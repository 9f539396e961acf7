using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;unistd.h&gt;: read(2), write(2), pread(2), pwrite(2), pipe2(2), lseek(2), fdatasync(2), close(2), ftruncate(2), unlink(2).</summary>
internal static unsafe partial class Unistd
{
    /// <summary>For <see cref="FileDescriptor.ReleaseHandle"/>, the one place that closes.</summary>
    [LibraryImport(Libc.Name)]
    public static partial int close(int fd);

    [LibraryImport(Libc.Name)]
    public static partial nint read(FileDescriptor fd, void* buffer, nuint count);

    [LibraryImport(Libc.Name)]
    public static partial nint write(FileDescriptor fd, void* buffer, nuint count);

    [LibraryImport(Libc.Name)]
    public static partial int pipe2(int* fds, int flags);

    [LibraryImport(Libc.Name)]
    public static partial nint pread(FileDescriptor fd, void* buffer, nuint count, long offset);

    [LibraryImport(Libc.Name)]
    public static partial nint pwrite(FileDescriptor fd, void* buffer, nuint count, long offset);

    public const int SEEK_END = 2;

    [LibraryImport(Libc.Name)]
    public static partial long lseek(FileDescriptor fd, long offset, int whence);

    [LibraryImport(Libc.Name)]
    public static partial int fdatasync(FileDescriptor fd);

    [LibraryImport(Libc.Name)]
    public static partial int ftruncate(FileDescriptor fd, long length);

    [LibraryImport(Libc.Name)]
    public static partial int unlink(byte* path);
}
