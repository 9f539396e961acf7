using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Memory;

/// <summary>What a device behind an IOMMU may touch (VIRTIO_F_ACCESS_PLATFORM, §6.1): only what it has been told of, and only as it was allowed to.</summary>
/// <remarks>
/// The addresses in rings and descriptors are then I/O addresses. One that is not here is asked for, and its queue waits;
/// nothing else does. Everything in use is here: who takes an entry away first makes the queues let go of it
/// (<c>DeviceHost.IsUsing</c>). On the host's thread only. Looking something up allocates nothing.
/// </remarks>
/// <param name="capacity">The most entries; <see cref="Oldest"/> makes room.</param>
/// <param name="ask">Asks for a translation that a queue needs: the queue, the address, and what for. False when it has been refused,
/// and the queue should not wait.</param>
/// <param name="join">Maps memory that lies apart once more in one piece, for rings; without it such a ring cannot be. Throws <see cref="QueueException"/>.</param>
public sealed unsafe class Iotlb(int capacity, Func<int, GuestAddress, MemoryAccess, bool> ask, Func<IReadOnlyList<MemoryRegion>, JoinedMemory>? join = null)
{
    private readonly List<Aged> _entries = []; // sorted by address, no two overlap
    private readonly List<IDisposable> _joined = [];
    private ulong _added;

    /// <summary>How many entries there are.</summary>
    public int Count => _entries.Count;

    /// <summary>Whether another entry would be one too many.</summary>
    public bool IsFull => _entries.Count >= capacity;

    /// <summary>The most misses of one chain. With more it would take the room of what it was given before, its ring's first.</summary>
    internal int MostMisses => capacity / 2;

    /// <summary>The entry that was added, or renewed, first. There must be one.</summary>
    public IotlbEntry Oldest => _entries.MinBy(aged => aged.Number).Entry;

    /// <summary>The entries that hold any of some addresses.</summary>
    /// <param name="first">The first address.</param>
    /// <param name="last">The last address.</param>
    public IReadOnlyList<IotlbEntry> Overlapping(ulong first, ulong last)
    {
        List<IotlbEntry> found = [];
        for (int i = Math.Max(0, IndexOf(first)); i < _entries.Count && _entries[i].Entry.Region.Start.Value <= last; i++)
            if (_entries[i].Entry.Last >= first)
                found.Add(_entries[i].Entry);
        return found;
    }

    /// <summary>Adds an entry.</summary>
    /// <exception cref="ArgumentException">It is empty, wraps, or overlaps another.</exception>
    public void Add(in IotlbEntry entry)
    {
        MemoryRegion region = entry.Region;
        if (region.Length == 0 || region.Length - 1 > ulong.MaxValue - region.Start.Value)
            throw new ArgumentException($"the entry at {region.Start} of 0x{region.Length:x} bytes is empty or wraps", nameof(entry));
        int before = IndexOf(entry.Last);
        if (before >= 0 && _entries[before].Entry.Last >= region.Start.Value)
            throw new ArgumentException($"the entry at {region.Start} overlaps the one at {_entries[before].Entry.Region.Start}", nameof(entry));
        _entries.Insert(before + 1, new Aged(entry, _added++));
    }

    /// <summary>Takes an entry away; no queue may be using it.</summary>
    public void Remove(in IotlbEntry entry)
    {
        int index = IndexOf(entry.Region.Start.Value);
        if (index >= 0 && _entries[index].Entry == entry)
            _entries.RemoveAt(index);
    }

    /// <summary>Makes an entry the youngest.</summary>
    public void Renew(in IotlbEntry entry)
    {
        int index = IndexOf(entry.Region.Start.Value);
        if (index >= 0 && _entries[index].Entry == entry)
            _entries[index] = new Aged(entry, _added++);
    }

    /// <summary>Takes all entries away; no queue may be running.</summary>
    public void Clear() => _entries.Clear();

    /// <summary>Whether an address is known for some access.</summary>
    public bool Holds(GuestAddress address, MemoryAccess access) => TranslatePiece(address.Value, 1, access, out _) == 1;

    /// <summary>Whether a queue should wait for what was missing in a chain, which has been asked for then.</summary>
    internal bool Ask(int queue, ChainFault fault) =>
        ask(queue, new GuestAddress(fault.Value), fault.Kind == ChainFaultKind.UntranslatedRead ? MemoryAccess.Read : MemoryAccess.Write);

    /// <summary>Finds a part of a ring that lies here in several pieces. The mapping that joins them is <see cref="TakeJoined"/>'s.</summary>
    /// <exception cref="UntranslatedException">Not all of it is known.</exception>
    /// <exception cref="QueueException">It cannot be joined.</exception>
    internal byte* TranslateApart(GuestAddress start, uint length, MemoryAccess access)
    {
        List<MemoryRegion> pieces = [];
        for (uint done = 0; done < length;)
        {
            if (done > ulong.MaxValue - start.Value)
                throw new QueueException($"an area of a ring at I/O address {start}, {length} bytes, wraps");
            uint piece = TranslatePiece(start.Value + done, length - done, access, out byte* host);
            if (piece == 0)
                throw new UntranslatedException(start.Plus(done), access);
            pieces.Add(new MemoryRegion(start.Plus(done), piece, (nint)host));
            done += piece;
        }

        if (join is null)
            throw new QueueException($"an area of a ring at I/O address {start}, {length} bytes, is in {pieces.Count} pieces of memory");
        JoinedMemory joined = join(pieces);
        _joined.Add(joined.Mapping);
        return (byte*)joined.Host;
    }

    /// <summary>The mappings that were made for rings since the last time: whoever uses them unmaps them.</summary>
    internal IDisposable[] TakeJoined()
    {
        IDisposable[] taken = [.. _joined];
        _joined.Clear();
        return taken;
    }

    /// <summary>Finds the bytes at an address as far as they lie here in one piece: entries that are neighbours at both ends are one.</summary>
    /// <returns>How many: 0 when the address is not known for that access.</returns>
    internal uint TranslatePiece(ulong address, uint length, MemoryAccess access, out byte* host)
    {
        int index = IndexOf(address);
        host = null;
        if (index < 0 || _entries[index].Entry is var entry && (address > entry.Last || (entry.Access & access) != access))
            return 0;

        ulong offset = address - entry.Region.Start.Value;
        host = (byte*)entry.Region.Host + offset;
        ulong found = entry.Region.Length - offset; // far from 2^64: all of it is mapped here
        while (found < length && ++index < _entries.Count)
        {
            IotlbEntry next = _entries[index].Entry;
            if (next.Region.Start.Value != entry.Last + 1 || next.Region.Host != entry.Region.Host + (nint)entry.Region.Length || (next.Access & access) != access)
                break;
            found += next.Region.Length;
            entry = next;
        }

        return (uint)Math.Min(found, length);
    }

    /// <summary>The last entry that starts at or before an address; −1 when there is none.</summary>
    private int IndexOf(ulong address)
    {
        int low = 0;
        for (int high = _entries.Count; low < high;)
        {
            int middle = (low + high) / 2;
            if (_entries[middle].Entry.Region.Start.Value <= address)
                low = middle + 1;
            else
                high = middle;
        }

        return low - 1;
    }

    private readonly record struct Aged(IotlbEntry Entry, ulong Number);
}

/// <summary>Memory that lies apart, mapped once more in one piece.</summary>
/// <param name="Host">Where its first byte is.</param>
/// <param name="Mapping">Disposed when nothing looks there any more.</param>
public readonly record struct JoinedMemory(nint Host, IDisposable Mapping);
