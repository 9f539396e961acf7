using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues;

/// <summary>An indirect table for each id, cut from the arena once, so that adding a chain allocates nothing.</summary>
internal readonly unsafe struct IndirectTables(int size, DmaArena arena)
{
    /// <summary>Entries of a table; longer chains go into the ring itself.</summary>
    public const int MaxEntries = 16;

    private const int Stride = MaxEntries * Descriptor.Size;

    private readonly DmaBuffer _tables = arena.Allocate(size * Stride);

    /// <summary>Whether a chain of so many buffers goes into a table.</summary>
    public bool Suits(int count) => _tables.Length > 0 && count is > 1 and <= MaxEntries;

    /// <summary>Where the driver writes the table of <paramref name="id"/>. Entries of both formats are 16 bytes.</summary>
    public byte* HostOf(ushort id) => _tables.Host + (nint)id * Stride;

    /// <summary>Where the device finds it.</summary>
    public ulong AddressOf(ushort id) => _tables.Address.Value + (ulong)id * Stride;
}
