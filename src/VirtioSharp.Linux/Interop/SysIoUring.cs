using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Interop;

/// <summary>&lt;linux/io_uring.h&gt;: io_uring_setup(2), io_uring_enter(2), which libc does not wrap, and what lies in the shared memory.</summary>
internal static unsafe partial class SysIoUring
{
    // The same on every architecture.
    public const nint SYS_io_uring_setup = 425;
    public const nint SYS_io_uring_enter = 426;

    public const uint IORING_SETUP_CQSIZE = 1 << 3;
    public const uint IORING_SETUP_CLAMP = 1 << 4;
    public const uint IORING_FEAT_SINGLE_MMAP = 1 << 0;
    public const uint IORING_FEAT_NODROP = 1 << 1;
    public const uint IORING_FEAT_POLL_32BITS = 1 << 6;
    public const uint IORING_SQ_CQ_OVERFLOW = 1 << 1;
    public const uint IORING_ENTER_GETEVENTS = 1;
    public const uint IORING_FSYNC_DATASYNC = 1;
    public const long IORING_OFF_SQ_RING = 0;
    public const long IORING_OFF_SQES = 0x1000_0000;

    public const byte IORING_OP_READV = 1;
    public const byte IORING_OP_WRITEV = 2;
    public const byte IORING_OP_FSYNC = 3;
    public const byte IORING_OP_ASYNC_CANCEL = 14;

    [StructLayout(LayoutKind.Explicit, Size = 120)]
    public struct Params
    {
        [FieldOffset(0)] public uint SqEntries;
        [FieldOffset(4)] public uint CqEntries;
        [FieldOffset(8)] public uint Flags;
        [FieldOffset(20)] public uint Features;
        [FieldOffset(40)] public uint SqHead;
        [FieldOffset(44)] public uint SqTail;
        [FieldOffset(48)] public uint SqMask;
        [FieldOffset(56)] public uint SqFlags;
        [FieldOffset(64)] public uint SqArray;
        [FieldOffset(80)] public uint CqHead;
        [FieldOffset(84)] public uint CqTail;
        [FieldOffset(88)] public uint CqMask;
        [FieldOffset(100)] public uint Cqes;
    }

    [StructLayout(LayoutKind.Explicit, Size = 64)]
    public struct Sqe
    {
        [FieldOffset(0)] public byte Opcode;
        [FieldOffset(4)] public int Fd;
        [FieldOffset(8)] public long Offset;
        [FieldOffset(16)] public void* Address;
        [FieldOffset(24)] public uint Length;
        [FieldOffset(28)] public uint Flags;
        [FieldOffset(32)] public ulong UserData;
    }

    [StructLayout(LayoutKind.Explicit, Size = 16)]
    public struct Cqe
    {
        [FieldOffset(0)] public ulong UserData;
        [FieldOffset(8)] public int Result;
    }

    // syscall(2) is variadic, and called like any other function on the Linux ABIs of x64 and arm64.
    [LibraryImport(Libc.Name)]
    public static partial nint syscall(nint number, nint entries, Params* parameters);

    [LibraryImport(Libc.Name)]
    public static partial nint syscall(nint number, nint fd, nint submit, nint wait, nint flags, nint signals, nint size);
}
