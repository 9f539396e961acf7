namespace VirtioSharp.Core.Memory;

/// <summary>What a device sees of memory: regions that do not overlap, sorted by guest address.</summary>
/// <remarks>Immutable: a change of memory is a new map, handed over whole between two batches (<c>DeviceHost.SetMemory</c>).</remarks>
public sealed class MemoryMap
{
    private readonly MemoryRegion[] _regions;

    private MemoryMap(MemoryRegion[] regions) => _regions = regions;

    /// <summary>A map without memory: nothing translates.</summary>
    public static MemoryMap Empty { get; } = new([]);

    /// <summary>The regions, sorted by guest address.</summary>
    public ReadOnlySpan<MemoryRegion> Regions => _regions;

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

    /// <summary>The region that holds <paramref name="address"/>.</summary>
    internal bool TryFind(ulong address, out MemoryRegion region)
    {
        int low = 0, high = _regions.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            region = _regions[middle];
            if (address < region.Start.Value)
                high = middle - 1;
            else if (address - region.Start.Value >= region.Length)
                low = middle + 1;
            else
                return true;
        }

        region = default;
        return false;
    }
}
