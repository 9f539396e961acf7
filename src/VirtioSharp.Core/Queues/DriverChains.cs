using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using VirtioSharp.Core.Errors;

namespace VirtioSharp.Core.Queues;

/// <summary>The driver's own record of what it gave to the device. The device cannot reach it, so it is what claims are checked against.</summary>
/// <remarks>
/// With IN_ORDER one used element may stand for a batch: all chains up to the one it names, in the order in which they
/// were made available; those it does not name count as written completely (§2.7.9, §2.8.8).
/// A part of its ring and not an object: one pointer less to follow twice per chain, 0.5-1 ns.
/// </remarks>
internal struct DriverChains
{
    private struct Entry
    {
        public uint Sequence;      // how many chains were added before it
        public uint Writable;      // bytes the device may write to it
        public ushort Slots;       // descriptors it takes; 0 when it is not in flight
    }

    private readonly Entry[] _entries;
    private readonly ushort[] _order; // ids by age, used with IN_ORDER only
    private readonly bool _inOrder;
    private uint _added;
    private uint _shown;
    private int _newest;
    private int _oldest;
    private ushort _usedId;
    private uint _usedLength;

    public DriverChains(int size, bool inOrder)
    {
        _entries = new Entry[size];
        _order = inOrder ? new ushort[size] : [];
        _inOrder = inOrder;
    }

    /// <summary>Chains that the device has been shown and has not used, and those that wait to be taken.</summary>
    public int InFlight { get; private set; }

    /// <summary>Whether a claim stands for chains that are still to be taken.</summary>
    public bool HasUsed { get; private set; }

    /// <summary>The chain that such a claim names.</summary>
    public readonly ushort? Claimed => HasUsed ? _usedId : null;

    /// <summary>Notes a new chain.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ushort id, int slots, ulong writable)
    {
        ref Entry entry = ref _entries[id];
        entry.Sequence = _added++;
        entry.Writable = (uint)Math.Min(writable, uint.MaxValue);
        entry.Slots = (ushort)slots;
        if (_inOrder)
            Remember(id);
    }

    private void Remember(ushort id)
    {
        _order[_newest] = id;
        _newest = Next(_newest);
    }

    /// <summary>The device can see all of them now.</summary>
    public void Show()
    {
        InFlight += (int)(_added - _shown);
        _shown = _added;
    }

    /// <summary>Takes the chain that the device claims to have used; with IN_ORDER that is <see cref="Use"/> and <see cref="TryTake"/>.</summary>
    /// <returns>Bytes written, at most what there was room for.</returns>
    /// <exception cref="QueueException">It was never given that chain, or has used it before.</exception>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public uint Take(uint id, uint length, out ushort slots)
    {
        Entry[] entries = _entries;
        if (id >= (uint)entries.Length)
            ThrowNotInFlight(id);
        ref Entry entry = ref entries[id];
        slots = entry.Slots;
        if (slots == 0 || (int)(entry.Sequence - _shown) >= 0)
            ThrowNotInFlight(id);
        entry.Slots = 0;
        InFlight--;
        return Math.Min(length, entry.Writable);
    }

    /// <summary>Notes the device's claim that it has used a chain.</summary>
    /// <exception cref="QueueException">It was never given that chain, or has used it before.</exception>
    public void Use(uint id, uint length)
    {
        if (id >= (uint)_entries.Length || _entries[id].Slots == 0 || (int)(_entries[id].Sequence - _shown) >= 0)
            ThrowNotInFlight(id);
        (HasUsed, _usedId, _usedLength) = (true, (ushort)id, length);
    }

    /// <summary>Takes the next chain out of those that are used.</summary>
    /// <param name="id">Which.</param>
    /// <param name="length">Bytes written, at most what there was room for.</param>
    /// <param name="slots">Descriptors it took.</param>
    public bool TryTake(out ushort id, out uint length, out ushort slots)
    {
        (id, length, slots) = (_usedId, _usedLength, 0);
        if (!HasUsed)
            return false;
        if (_inOrder)
        {
            id = _order[_oldest];
            _oldest = Next(_oldest);
            if (id != _usedId)
                length = uint.MaxValue;
        }

        HasUsed = id != _usedId;
        ref Entry entry = ref _entries[id];
        length = Math.Min(length, entry.Writable);
        slots = entry.Slots;
        entry.Slots = 0;
        InFlight--;
        return true;
    }

    /// <summary>How many chains the last claim stands for: more than one with IN_ORDER only.</summary>
    public readonly int BatchSize()
    {
        int count = 1;
        if (_inOrder)
            for (int at = _oldest; _order[at] != _usedId; at = Next(at))
                count++;
        return count;
    }

    /// <summary>The chains that the device was shown and that have not been taken, oldest first.</summary>
    public readonly List<ushort> ListInFlight()
    {
        var ids = new List<ushort>(InFlight);
        for (int id = 0; id < _entries.Length; id++)
            if (_entries[id].Slots != 0 && (int)(_entries[id].Sequence - _shown) < 0)
                ids.Add((ushort)id);
        (Entry[] entries, uint end) = (_entries, _shown); // ages, as sequence numbers wrap
        ids.Sort((a, b) => (end - entries[b].Sequence).CompareTo(end - entries[a].Sequence));
        return ids;
    }

    /// <summary>Descriptors that a chain in flight takes.</summary>
    public readonly int SlotsOf(ushort id) => _entries[id].Slots;

    [DoesNotReturn]
    private static void ThrowNotInFlight(uint id) => throw new QueueException($"used id = {id} names no chain that is in flight");

    private readonly int Next(int index) => index + 1 == _order.Length ? 0 : index + 1;
}
