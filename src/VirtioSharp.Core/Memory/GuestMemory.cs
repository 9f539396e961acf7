using System.Runtime.CompilerServices;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Memory;

/// <summary>The one place where a guest address becomes a pointer: checked against the map, never beyond a region.</summary>
/// <remarks>
/// A struct that every queue holds a copy of, with the region that was hit last: most guests keep their buffers in one
/// region, and then a translation is two compares.
/// </remarks>
public unsafe struct GuestMemory
{
    private readonly MemoryMap _map; // owns the regions
    private readonly Iotlb? _iotlb;
    private MemoryRegion* _hit;

    /// <summary>Memory as a map shows it.</summary>
    /// <param name="map">What the device sees.</param>
    /// <param name="iotlb">What it sees instead, behind an IOMMU. Then the quick way finds nothing, so that only the other one has to know.</param>
    public GuestMemory(MemoryMap map, Iotlb? iotlb = null)
    {
        ArgumentNullException.ThrowIfNull(map);
        _map = iotlb is null ? map : MemoryMap.Empty;
        _iotlb = iotlb;
        _hit = _map.First;
    }

    /// <summary>What stands between the device and memory, if anything does.</summary>
    internal readonly Iotlb? Iotlb => _iotlb;

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
    /// <returns>How many bytes lie there in one piece: 0 when the address is not mapped for that access.</returns>
    internal readonly uint TranslatePiece(ulong address, uint length, MemoryAccess access, out byte* host)
    {
        if (_iotlb is not null)
            return _iotlb.TranslatePiece(address, length, access, out host);
        MemoryRegion* region = _map.Find(address);
        ulong offset = address - region->Start.Value;
        host = (byte*)region->Host + offset;
        return offset < region->Length ? (uint)Math.Min(length, region->Length - offset) : 0;
    }

    /// <summary>Why bytes were not found that had to lie in one piece, of which the first <paramref name="found"/> do.</summary>
    internal readonly ChainFault FaultOf(ulong address, uint found, MemoryAccess access)
    {
        if (_iotlb is null || address > ulong.MaxValue - found || _iotlb.Holds(new GuestAddress(address + found), access))
            return new ChainFault(ChainFaultKind.AddressUnmapped, address);
        return new ChainFault(access == MemoryAccess.Read ? ChainFaultKind.UntranslatedRead : ChainFaultKind.UntranslatedWrite, address + found);
    }
}
