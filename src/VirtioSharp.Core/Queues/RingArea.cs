using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>One area of a ring, as the driver claims it; checked before anything looks into it.</summary>
internal readonly record struct RingArea(string Name, GuestAddress Start, int Bytes)
{
    /// <summary>Finds it in memory.</summary>
    /// <exception cref="QueueException">It is misaligned, or not in one piece of memory.</exception>
    /// <exception cref="UntranslatedException">The IOTLB does not know all of it.</exception>
    public unsafe byte* Translate(int alignment, MemoryAccess access, ref GuestMemory memory)
    {
        if (!Start.IsAligned(alignment))
            throw new QueueException($"{Name} = {Start} is not aligned to {alignment}");
        uint found = memory.TranslatePiece(Start.Value, (uint)Bytes, access, out byte* host);
        if (found < (uint)Bytes)
            host = memory.Iotlb is { } iotlb
                ? iotlb.TranslateApart(Start, (uint)Bytes, access)
                : throw new QueueException($"{Name} = {Start}, {Bytes} bytes, is not in one piece of guest memory");

        // Atomic accesses need the alignment where the memory is mapped, too.
        if (((nuint)host & (nuint)(alignment - 1)) != 0)
            throw new QueueException($"{Name} = {Start} lies in a memory region that is not aligned to {alignment} here");
        return host;
    }

    /// <summary>Whether it has a byte in common with others that start at <paramref name="start"/>. By distances: either may end at 2^64.</summary>
    public bool Overlaps(GuestAddress start, ulong bytes) => start.Value - Start.Value < (ulong)Bytes || Start.Value - start.Value < bytes;

    /// <exception cref="QueueException">The two share a byte.</exception>
    public void MustNotOverlap(RingArea other)
    {
        if (Overlaps(other.Start, (ulong)other.Bytes))
            throw new QueueException($"{Name} = {Start} overlaps {other.Name} = {other.Start}");
    }
}
