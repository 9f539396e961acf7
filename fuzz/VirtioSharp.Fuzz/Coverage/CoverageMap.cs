using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace VirtioSharp.Fuzz.Coverage;

/// <summary>What the instrumented code writes to: how often each edge between two basic blocks was taken, and which blocks were seen.</summary>
/// <remarks>Edges are numbered by a hash of both blocks, as in AFL. One thread runs instrumented code, so nothing is atomic.</remarks>
public static unsafe class CoverageMap
{
    /// <summary>Edges there is room for. Core has some thousand, so few share a counter.</summary>
    public const int Edges = 1 << 14;

    private const int MaxBlocks = 1 << 16;

    private static readonly byte* Counters = (byte*)NativeMemory.AlignedAlloc(Edges, 64);
    private static readonly byte* Blocks = (byte*)NativeMemory.AllocZeroed(MaxBlocks);
    private static uint _previous;

    /// <summary>Called at the start of every instrumented basic block. The multiplication folds into a constant.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Hit(int block)
    {
        uint here = (uint)block * 0x9E3779B1u >> 18;
        Counters[here ^ _previous]++;
        _previous = here >> 1; // halved, so that A → B is not B → A
        Blocks[block] = 1;
    }

    internal static Span<byte> Counts => new(Counters, Edges);

    internal static void Clear()
    {
        Counts.Clear();
        _previous = 0;
    }

    internal static int BlocksSeen => new Span<byte>(Blocks, MaxBlocks).Count((byte)1);

    internal static bool IsSeen(int block) => Blocks[block] != 0;
}
