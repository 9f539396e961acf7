using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>One area of a ring, as the driver claims it; checked before anything looks into it.</summary>
internal readonly record struct RingArea(string Name, GuestAddress Start, int Bytes)
{
    /// <summary>Finds it in memory.</summary>
    /// <exception cref="QueueException">It is misaligned, or not in one piece of memory.</exception>
    public unsafe byte* Translate(int alignment, ref GuestMemory memory)
    {
        if (!Start.IsAligned(alignment))
            throw new QueueException($"{Name} = {Start} is not aligned to {alignment}");
        if (!memory.TryTranslate(Start.Value, (uint)Bytes, out byte* host))
            throw new QueueException($"{Name} = {Start}, {Bytes} bytes, is not in one piece of guest memory");

        // Atomic accesses need the alignment where the memory is mapped, too.
        if (((nuint)host & (nuint)(alignment - 1)) != 0)
            throw new QueueException($"{Name} = {Start} lies in a memory region that is not aligned to {alignment} here");
        return host;
    }

    /// <exception cref="QueueException">The two share a byte.</exception>
    public void MustNotOverlap(RingArea other)
    {
        // Distances, because an area may end exactly at 2^64.
        if (other.Start.Value - Start.Value < (ulong)Bytes || Start.Value - other.Start.Value < (ulong)other.Bytes)
            throw new QueueException($"{Name} = {Start} overlaps {other.Name} = {other.Start}");
    }
}
