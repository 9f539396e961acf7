using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;fcntl.h&gt;: fcntl(2), open(2), fallocate(2). The first two are variadic, and called like any other function on the Linux ABIs of x64 and arm64.</summary>
internal static unsafe partial class Fcntl
{
    public const int F_GETFL = 3;
    public const int F_SETFL = 4;
    public const int F_DUPFD_CLOEXEC = 1030;
    public const int F_ADD_SEALS = 1033;
    public const int F_GET_SEALS = 1034;
    public const int F_OFD_SETLK = 37;
    public const short F_RDLCK = 0;
    public const short F_WRLCK = 1;
    public const int O_RDONLY = 0;
    public const int O_RDWR = 2;
    public const int O_EXCL = 0x80;
    public const int O_NONBLOCK = 0x800;
    public const int O_NOATIME = 0x40000;
    public const int O_CLOEXEC = 0x80000;
    public const int FALLOC_FL_KEEP_SIZE = 1;
    public const int FALLOC_FL_PUNCH_HOLE = 2;
    public const int FALLOC_FL_ZERO_RANGE = 0x10;

    /// <summary>One of the few flags that differ between architectures.</summary>
    public static int O_DIRECT { get; } = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 0x10000 : 0x4000;

    /// <summary>struct flock, on 64-bit Linux: a lock of the whole file when all but its type is 0.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 32)]
    public struct Flock
    {
        [FieldOffset(0)] public short Type;
    }

    [LibraryImport(Libc.Name)]
    public static partial int fcntl(FileDescriptor fd, int command, Flock* argument);

    [LibraryImport(Libc.Name)]
    public static partial int fallocate(FileDescriptor fd, int mode, long offset, long length);

    [LibraryImport(Libc.Name)]
    public static partial int fcntl(FileDescriptor fd, int command, nint argument);

    // Variadic in C; without O_CREAT its third argument is not looked at.
    [LibraryImport(Libc.Name, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int open(string path, int flags);
}
