using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;sys/vfs.h&gt;: fstatfs(2), on 64-bit Linux.</summary>
internal static unsafe partial class SysStatfs
{
    public const uint HUGETLBFS_MAGIC = 0x958458F6;

    [StructLayout(LayoutKind.Explicit, Size = 120)]
    public struct Statfs
    {
        [FieldOffset(0)] public long Type;
        [FieldOffset(8)] public long BlockSize;
    }

    [LibraryImport(Libc.Name)]
    public static partial int fstatfs(FileDescriptor fd, Statfs* result);
}
