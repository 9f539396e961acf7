using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>The guest memory that a front-end has shared, mapped here; knows it by guest and by user address.</summary>
/// <remarks>
/// Changes come in two steps, because rings must have moved to the new map before the old mapping goes: prepare the new
/// list, let the host move (<c>SetMemory</c>), then unmap what fell out.
/// </remarks>
internal sealed class MemoryTable : IDisposable
{
    /// <summary>As many as Linux's vhost and the other daemons have.</summary>
    public const int MaxSlots = 509;

    private List<Slot> _slots = [];

    /// <summary>How many regions are mapped.</summary>
    public int Count => _slots.Count;

    /// <summary>What a device sees of it.</summary>
    public MemoryMap Map { get; private set; } = MemoryMap.Empty;

    /// <summary>Whether every region is safe from being cut short under us.</summary>
    public bool IsSealed => _slots.TrueForAll(slot => slot.Sealed);

    /// <summary>Whether a region was cut short, and what is gone has been touched.</summary>
    public bool HasLost => _slots.Exists(slot => slot.Mapping.HasLost);

    /// <summary>The last guest address; 0 when there is none.</summary>
    public ulong Last => LastOf(_slots);

    /// <summary>The last guest address of some regions; 0 when there are none.</summary>
    public static ulong LastOf(List<Slot> slots) => slots.Count == 0 ? 0 : slots.Max(slot => slot.Region.GuestAddress + (slot.Region.Size - 1));

    /// <summary>Maps one region.</summary>
    /// <param name="region">The front-end's claim.</param>
    /// <param name="file">The memory; closed on return, the mapping keeps it.</param>
    /// <exception cref="TransportException">The claim does not hold.</exception>
    public static Slot MapRegion(MemoryRegionPayload region, FileDescriptor file)
    {
        using (file)
        {
            if (region.Size == 0 || region.Size - 1 > ulong.MaxValue - region.GuestAddress || region.Size - 1 > ulong.MaxValue - region.UserAddress)
                throw new TransportException($"memory region at 0x{region.GuestAddress:x}: size = 0x{region.Size:x} is empty or wraps");
            string claim = $"memory region at 0x{region.GuestAddress:x}, size = 0x{region.Size:x}, mmap offset = 0x{region.MmapOffset:x}";
            SharedFile shared = SharedFile.Map(file, region.MmapOffset, region.Size, claim);
            return new Slot(region, shared.Mapping, shared.IsSealed);
        }
    }

    /// <summary>The list with one region more.</summary>
    public List<Slot> With(Slot slot)
    {
        if (_slots.Count >= MaxSlots)
            throw new TransportException($"memory region at 0x{slot.Region.GuestAddress:x} would be one more than the {MaxSlots} slots there are");
        return [.. _slots, slot];
    }

    /// <summary>The list without a region, named by its guest address, user address and size.</summary>
    public List<Slot> Without(MemoryRegionPayload region)
    {
        List<Slot> rest = _slots.FindAll(slot => slot.Region with { MmapOffset = 0 } != region with { MmapOffset = 0 });
        return rest.Count < _slots.Count
            ? rest
            : throw new TransportException($"memory region at 0x{region.GuestAddress:x}, size = 0x{region.Size:x}, user address = 0x{region.UserAddress:x} is not mapped");
    }

    /// <summary>Puts a new list in force.</summary>
    /// <param name="slots">The new list; regions of the old one that are not in it are unmapped at the end.</param>
    /// <param name="move">Moves the device to the new map.</param>
    /// <exception cref="TransportException">Regions overlap. The old list stays in force.</exception>
    public void Replace(List<Slot> slots, Action<MemoryMap> move)
    {
        MemoryMap map;
        try
        {
            map = MemoryMap.Create(slots.Select(slot =>
                new MemoryRegion(new GuestAddress(slot.Region.GuestAddress), slot.Region.Size, slot.Mapping.Address)));
        }
        catch (ArgumentException overlap)
        {
            throw new TransportException(overlap.Message, overlap);
        }

        List<Slot> old = _slots;
        (_slots, Map) = (slots, map);
        move(map);
        foreach (Slot gone in old.Except(slots))
            gone.Mapping.Dispose();
    }

    /// <summary>Finds the guest address of one of the front-end's own addresses.</summary>
    public bool TryFromUser(ulong user, out GuestAddress guest)
    {
        foreach (Slot slot in _slots)
        {
            ulong offset = user - slot.Region.UserAddress;
            if (user >= slot.Region.UserAddress && offset < slot.Region.Size)
            {
                guest = new GuestAddress(slot.Region.GuestAddress + offset); // inside the region, which does not wrap
                return true;
            }
        }

        guest = default;
        return false;
    }

    /// <summary>Finds where the front-end's own addresses lie here, as far as they are in one region.</summary>
    /// <returns>How many bytes: 0 when the first is not in shared memory.</returns>
    public ulong TranslateUser(ulong user, ulong length, out nint host)
    {
        foreach (Slot slot in _slots)
        {
            ulong offset = user - slot.Region.UserAddress;
            if (user < slot.Region.UserAddress || offset >= slot.Region.Size)
                continue;
            host = slot.Mapping.Address + (nint)offset;
            return Math.Min(length, slot.Region.Size - offset);
        }

        host = 0;
        return 0;
    }

    /// <summary>Maps parts of regions once more, one behind the other: a ring that lies apart (guests do that behind an IOMMU).</summary>
    /// <exception cref="QueueException">That cannot be.</exception>
    public static JoinedMemory Join(IReadOnlyList<MemoryRegion> pieces)
    {
        try
        {
            MappedRegion joined = MappedRegion.Join([.. pieces.Select(piece => (piece.Host, piece.Length))]);
            joined.Watch();
            return new JoinedMemory(joined.Address, joined);
        }
        catch (LinuxException refused)
        {
            throw new QueueException($"an area of a ring at I/O address {pieces[0].Start} lies in {pieces.Count} pieces: {refused.Message}");
        }
    }

    /// <summary>Whether a place here is in one of the regions.</summary>
    public bool Holds(nint host) => _slots.Exists(slot => (ulong)(host - slot.Mapping.Address) < slot.Region.Size);

    /// <summary>Unmaps everything; the device must have let go of it.</summary>
    public void Dispose()
    {
        foreach (Slot slot in _slots)
            slot.Mapping.Dispose();
        (_slots, Map) = ([], MemoryMap.Empty);
    }

    /// <summary>A mapped region.</summary>
    internal sealed record Slot(MemoryRegionPayload Region, MappedRegion Mapping, bool Sealed);
}
