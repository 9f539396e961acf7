using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/stat.h&gt;: statx(2), whose struct is the same on every architecture (struct stat is not).</summary>
internal static unsafe partial class SysStat
{
    public const int AT_FDCWD = -100;
    public const int AT_SYMLINK_NOFOLLOW = 0x100;
    public const int AT_EMPTY_PATH = 0x1000;
    public const uint STATX_BASIC_STATS = 0x7ff;
    public const uint STATX_DIOALIGN = 0x2000;
    public const int S_IFMT = 0xF000;

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    public struct Statx
    {
        [FieldOffset(0)] public uint Mask;
        [FieldOffset(28)] public ushort Mode;
        [FieldOffset(32)] public ulong Inode;
        [FieldOffset(40)] public ulong Size;
        [FieldOffset(136)] public uint DeviceMajor;
        [FieldOffset(140)] public uint DeviceMinor;
        [FieldOffset(152)] public uint DirectMemoryAlignment;
        [FieldOffset(156)] public uint DirectOffsetAlignment;
    }

    [LibraryImport(Libc.Name)]
    public static partial int statx(FileDescriptor directory, byte* path, int flags, uint mask, Statx* result);

    [LibraryImport(Libc.Name)]
    public static partial int statx(int directory, byte* path, int flags, uint mask, Statx* result);

    /// <summary>0600.</summary>
    public const uint OwnerReadWrite = 0x180;

    [LibraryImport(Libc.Name)]
    public static partial int fchmod(FileDescriptor fd, uint mode);
}
