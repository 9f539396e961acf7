using System.Runtime.CompilerServices;

namespace VirtioSharp.Core.Memory;

/// <summary>The one place where a guest address becomes a pointer: checked against the map, never beyond a region.</summary>
/// <remarks>
/// A struct that every queue holds a copy of, with the region that was hit last: most guests keep their buffers in one
/// region, and then a translation is two compares.
/// </remarks>
public unsafe struct GuestMemory(MemoryMap map)
{
    private readonly MemoryMap _map = map; // owns the regions
    private MemoryRegion* _hit = map.First;

    /// <summary>Finds <paramref name="length"/> bytes at <paramref name="address"/>, which must lie in one region.</summary>
    /// <returns>False when any of the bytes is not mapped, or the range crosses into another region.</returns>
    /// <remarks>Inlined with the search and all: a call in a loop over descriptors, even one not taken, costs it its registers.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryTranslate(ulong address, uint length, out byte* host)
    {
        MemoryRegion* region = _hit;
        ulong offset = address - region->Start.Value; // wraps below the region, and is then larger than any length
        if (offset >= region->Length)
        {
            region = _map.Find(address);
            offset = address - region->Start.Value;
            if (offset >= region->Length)
            {
                host = null;
                return false;
            }

            _hit = region;
        }

        host = (byte*)region->Host + offset;
        return length <= region->Length - offset;
    }

    /// <summary>Finds the bytes at <paramref name="address"/> up to <paramref name="length"/> or the region's end.</summary>
    /// <returns>How many bytes lie there in one piece: 0 when the address is not mapped.</returns>
    internal readonly uint TranslatePiece(ulong address, uint length, out byte* host)
    {
        MemoryRegion* region = _map.Find(address);
        ulong offset = address - region->Start.Value;
        host = (byte*)region->Host + offset;
        return offset < region->Length ? (uint)Math.Min(length, region->Length - offset) : 0;
    }
}
