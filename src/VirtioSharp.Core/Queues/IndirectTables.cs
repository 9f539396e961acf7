using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues;

/// <summary>An indirect table for each id, cut from the arena once, so that adding a chain allocates nothing.</summary>
internal readonly struct IndirectTables(int size, DmaArena arena)
{
    /// <summary>Entries of a table; longer chains go into the ring itself.</summary>
    public const int MaxEntries = 16;

    private readonly DmaBuffer _tables = arena.Allocate(size * MaxEntries * Descriptor.Size, Descriptor.Size);

    /// <summary>Whether a chain of so many buffers goes into a table.</summary>
    public bool Suits(int count) => _tables.Length > 0 && count is > 1 and <= MaxEntries;

    /// <summary>The first <paramref name="count"/> entries of the table of <paramref name="id"/>. Entries of both formats are 16 bytes.</summary>
    public DmaBuffer For(ushort id, int count) => _tables.Slice(id * MaxEntries * Descriptor.Size, count * Descriptor.Size);
}
