using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;

namespace VirtioSharp.Core.Queues;

/// <summary>Notes in a shared region which chains of a packed ring are in flight, with their descriptors, which used ones overwrite.</summary>
/// <remarks>
/// <code>
///  taken:  inflight = 1 in the state at old_free_head, the descriptors in the states from free_head on  →  old_free_head
///  used:   the states go back to the free list (free_head), used_idx  →  the first used descriptor's flags
///                                                 →  inflight = 0, for each  →  old_free_head, old_used_idx
/// </code>
/// The fields named old are what holds; where the others differ, the device died in between, and the flags of the first
/// used descriptor tell whether the driver has seen the batch. The batch goes back to the free list only when it is about
/// to be shown: a chain taken before that must not get its states.
/// </remarks>
internal sealed unsafe class PackedInflight
{
    private readonly QueueRegionPacked* _region;
    private readonly DescStatePacked* _states;
    private readonly PackedFreeList _list;
    private readonly Action? _afterWrite;
    private readonly int _size;
    private readonly ushort[] _headOf;  // by the chain's id
    private readonly ushort[] _batch;   // heads that are used, and not shown to the driver yet
    private readonly ushort[] _owed;    // heads left over from an earlier life, in the order of their counters
    private int _batchCount;
    private int _owedServed;
    private ulong _counter;
    private PackedUse _used;

    /// <exception cref="QueueException">The region says what cannot be: the message names the field.</exception>
    public PackedInflight(InflightRegion region, int size, in PackedDeviceRing ring)
    {
        _region = (QueueRegionPacked*)region.Address;
        _states = (DescStatePacked*)(_region + 1);
        (_afterWrite, _size) = (region.AfterWrite, size);
        (_headOf, _batch) = (new ushort[size], new ushort[size]);
        ushort version = Volatile.Read(ref _region->Version);
        InflightRules.Check(_region->Features, version, _region->DescNum, region.Descriptors, size);
        bool isNew = version == 0;
        if (isNew)
            Begin(region.Descriptors, ring.Snapshot);
        else
            FinishLastBatch(ring);
        _list = new PackedFreeList(_states, region.Descriptors, _region->FreeHead);
        foreach (ushort free in _list.Free)
            Volatile.Write(ref _states[free].Inflight, 0);
        Wrote();

        // Whatever was taken is used or in flight, so this is where the ring stood, also when nobody lived to say so.
        (_owed, int slots) = _list.FindChains(size, out _counter);
        foreach (ushort head in _owed)
            _headOf[_list.IdOf(head)] = head;
        PackedUse available = _used.Move(slots, size);
        At = isNew ? ring.Snapshot : new((ushort)available.Index, !available.Wrap, (ushort)_used.Index, !_used.Wrap);
    }

    /// <summary>Where the ring stands.</summary>
    public QueueSnapshot At { get; }

    /// <summary>Chains of an earlier life that are still to be served.</summary>
    public int Owed => _owed.Length - _owedServed;

    /// <summary>The next of them; its descriptors are in the region.</summary>
    public RingChain TakeOwed(in PackedDeviceRing ring, ref Memory.GuestMemory memory, ref ChainSegments segments)
    {
        ushort head = _owed[_owedServed++];
        int slots = _list.SlotsOf(head);
        segments.Clear();
        int at = head;
        for (int slot = 1; slot <= slots && segments.Fault.Kind == ChainFaultKind.None; slot++, at = _list.NextOf(at))
        {
            DescStatePacked state = _states[at]; // the only read of it
            ring.Add(new PackedDescriptor(state.Address, state.Length, state.Id, (DescriptorFlags)state.Flags), slot, ref memory, ref segments);
        }

        return new RingChain(_list.IdOf(head), (ushort)slots);
    }

    /// <summary>The one taken last is to be served later.</summary>
    public void ReturnOwed() => _owedServed--;

    /// <summary>A chain was taken from the ring, where it starts at <paramref name="index"/>.</summary>
    public void Take(in PackedDeviceRing ring, int index, RingChain chain)
    {
        int head = _list.Head;
        if (chain.Slots > _list.Left)
            throw new QueueException($"chain {chain.Id} of {chain.Slots} descriptors is more than the {_list.Left} that can still be in flight");
        DescStatePacked* first = _states + head;
        Volatile.Write(ref first->Num, 0);
        Wrote();
        Volatile.Write(ref first->Counter, _counter++);
        Wrote();
        Volatile.Write(ref first->Inflight, 1);
        Wrote();
        for (int slot = 1; slot <= chain.Slots; slot++)
        {
            ushort free = (ushort)_list.Head;
            PackedDescriptor descriptor = ring[index];
            index = index + 1 == _size ? 0 : index + 1;
            DescStatePacked* state = _states + free;
            (state->Address, state->Length, state->Flags, state->Id) = (descriptor.Address, descriptor.Length, (ushort)descriptor.Flags, chain.Id);
            if (slot == chain.Slots)
                first->Last = free;
            Volatile.Write(ref first->Num, (ushort)slot);
            Wrote();
            Volatile.Write(ref _region->FreeHead, (ushort)_list.Take());
            Wrote();
        }

        _list.Keep(head, chain);
        _headOf[chain.Id] = (ushort)head;
        Volatile.Write(ref _region->OldFreeHead, (ushort)_list.Head); // from here on it is taken
        Wrote();
    }

    /// <summary>It was put back.</summary>
    public void Return(RingChain chain)
    {
        // In the free list first: there the next life clears the flag, should this one not.
        Free(_headOf[chain.Id]);
        Volatile.Write(ref _region->OldFreeHead, (ushort)_list.Head);
        Wrote();
        Volatile.Write(ref _states[_list.Head].Inflight, 0);
        Wrote();
    }

    /// <summary>A chain's used descriptor is written; the driver does not see it yet.</summary>
    public void Use(RingChain chain)
    {
        if (_batchCount == _batch.Length)
            throw new QueueException($"chain {chain.Id} is one more than the {_batch.Length} that can be in flight");
        _batch[_batchCount++] = _headOf[chain.Id];
        Wrote();
    }

    /// <summary>All that was used is about to be shown.</summary>
    public void Prepare()
    {
        if (_batchCount == 0)
            return;
        PackedUse used = _used;
        foreach (ushort head in _batch.AsSpan(0, _batchCount))
        {
            used = used.Move(_list.SlotsOf(head), _size);
            Free(head);
        }

        WriteUsed(used, old: _used);
        _used = used;
    }

    /// <summary>The driver sees it.</summary>
    public void Commit()
    {
        if (_batchCount == 0)
            return;
        Wrote();
        foreach (ushort head in _batch.AsSpan(0, _batchCount))
        {
            Volatile.Write(ref _states[head].Inflight, 0);
            Wrote();
        }

        Volatile.Write(ref _region->OldFreeHead, (ushort)_list.Head);
        Wrote();
        WriteUsed(_used, old: _used);
        _batchCount = 0;
    }

    private void Free(ushort head)
    {
        Volatile.Write(ref _states[_list.LastOf(head)].Next, (ushort)_list.Head);
        Wrote();
        _list.GiveBack(head);
        Volatile.Write(ref _region->FreeHead, head);
        Wrote();
    }

    private void WriteUsed(PackedUse used, PackedUse old)
    {
        Volatile.Write(ref _region->Used, PackedUse.Pack(used, old));
        Wrote();
    }

    private void Begin(int descriptors, QueueSnapshot at)
    {
        new Span<DescStatePacked>(_states, descriptors).Clear();
        for (int i = 0; i < descriptors; i++)
            _states[i].Next = (ushort)(i + 1); // the last one names what is not there
        _used = new PackedUse(at.NextUsed, !at.UsedTurn);
        (_region->Features, _region->DescNum, _region->FreeHead, _region->OldFreeHead) = (0, (ushort)descriptors, 0, 0);
        _region->Used = PackedUse.Pack(_used, _used);
        Volatile.Write(ref _region->Version, QueueRegionSplit.CurrentVersion); // last: what is half made is made anew
        Wrote();
    }

    private void FinishLastBatch(in PackedDeviceRing ring)
    {
        ulong word = _region->Used;
        PackedUse used = PackedUse.Current(word), old = PackedUse.Old(word);
        if (used.Index >= _size || old.Index >= _size)
            throw new QueueException($"in-flight region: used_idx = {used.Index} and old_used_idx = {old.Index} are not both below the queue size {_size}");
        bool wasSeen = used != old && !PackedLayout.IsAvailable(ring[old.Index].Flags, old.Wrap);
        if (wasSeen)
            Volatile.Write(ref _region->OldFreeHead, _region->FreeHead);
        else
            Volatile.Write(ref _region->FreeHead, _region->OldFreeHead);
        Wrote();
        _used = wasSeen ? used : old;
        WriteUsed(_used, old: _used);
    }

    private void Wrote() => _afterWrite?.Invoke();
}

/// <summary>How far a packed ring was used: an entry, and the wrap counter there.</summary>
internal readonly record struct PackedUse(int Index, bool Wrap)
{
    public PackedUse Move(int slots, int size) => Index + slots < size ? new(Index + slots, Wrap) : new(Index + slots - size, !Wrap);

    /// <summary>As <see cref="QueueRegionPacked.Used"/> has them.</summary>
    public static ulong Pack(PackedUse used, PackedUse old) =>
        (ushort)used.Index | (ulong)(ushort)old.Index << 16 | (used.Wrap ? 1UL : 0) << 32 | (old.Wrap ? 1UL : 0) << 40;

    public static PackedUse Current(ulong word) => new((ushort)word, (byte)(word >> 32) != 0);

    public static PackedUse Old(ulong word) => new((ushort)(word >> 16), (byte)(word >> 40) != 0);
}
