using System.Runtime.InteropServices;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>Pages with nothing before and behind them: a byte too far, read or written, ends the process.</summary>
internal sealed unsafe partial class GuardedMemory
{
    private const int Page = 4096;
    private const int ReadWrite = 1 | 2;
    private const int PrivateAnonymousNoReserve = 0x2 | 0x20 | 0x4000;
    private const int DontNeed = 4;

    /// <param name="length">Bytes, a multiple of 4096.</param>
    public GuardedMemory(ulong length)
    {
        Length = length;
        nint all = MMap(0, (nuint)length + 2 * Page, 0, PrivateAnonymousNoReserve, -1, 0);
        if (all == -1 || MProtect(all + Page, (nuint)length, ReadWrite) != 0)
            throw new InsufficientMemoryException($"{length} bytes cannot be mapped");
        Start = all + Page;
    }

    public nint Start { get; }

    public ulong Length { get; }

    public Span<byte> Bytes => new((void*)Start, checked((int)Length));

    /// <summary>Makes all of it 0 again, however long it is.</summary>
    public void Drop() => _ = MAdvise(Start, (nuint)Length, DontNeed);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial nint MMap(nint address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int MProtect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MAdvise(nint address, nuint length, int advice);
}
