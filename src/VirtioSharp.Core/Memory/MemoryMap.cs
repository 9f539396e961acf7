using System.Runtime.CompilerServices;

namespace VirtioSharp.Core.Memory;

/// <summary>What a device sees of memory: regions that do not overlap, sorted by guest address.</summary>
/// <remarks>Immutable: a change of memory is a new map, handed over whole between two batches (<c>DeviceHost.SetMemory</c>).</remarks>
public sealed unsafe class MemoryMap
{
    private readonly MemoryRegion[] _regions; // pinned, and with an empty one behind the last
    private readonly int _count;

    private MemoryMap(MemoryRegion[] regions)
    {
        _count = regions.Length;
        _regions = GC.AllocateArray<MemoryRegion>(_count + 1, pinned: true);
        regions.CopyTo(_regions, 0);
        First = (MemoryRegion*)Unsafe.AsPointer(ref _regions[0]);
    }

    /// <summary>A map without memory: nothing translates.</summary>
    public static MemoryMap Empty { get; } = new([]);

    /// <summary>The regions, sorted by guest address.</summary>
    public ReadOnlySpan<MemoryRegion> Regions => _regions.AsSpan(0, _count);

    /// <summary>Makes a map of <paramref name="regions"/>, in any order.</summary>
    /// <exception cref="ArgumentException">A region is empty, ends beyond 2^64 or overlaps another.</exception>
    public static MemoryMap Create(IEnumerable<MemoryRegion> regions)
    {
        MemoryRegion[] sorted = [.. regions.OrderBy(region => region.Start.Value)];
        for (int i = 0; i < sorted.Length; i++)
        {
            MemoryRegion region = sorted[i];
            if (region.Length == 0)
                throw new ArgumentException($"the memory region at {region.Start} is empty");
            if (region.Length - 1 > ulong.MaxValue - region.Start.Value)
                throw new ArgumentException($"the memory region at {region.Start} of 0x{region.Length:x} bytes ends beyond 2^64");
            if (i > 0 && region.Start.Value - sorted[i - 1].Start.Value < sorted[i - 1].Length)
                throw new ArgumentException($"the memory region at {region.Start} overlaps the one at {sorted[i - 1].Start}");
        }

        return new MemoryMap(sorted);
    }

    /// <summary>The first region; an empty one, which holds no address, if there is none. Good as long as the map is referenced.</summary>
    internal MemoryRegion* First { get; }

    /// <summary>The region that holds <paramref name="address"/>, if any does: the last that starts at or before it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal MemoryRegion* Find(ulong address)
    {
        MemoryRegion* found = First;
        for (int left = _count; left > 1;)
        {
            int half = left >>> 1;
            if (found[half].Start.Value <= address) // a branch: computing the step instead costs a miss 5 ns more
                found += half;
            left -= half;
        }

        return found;
    }
}
