using System.Runtime.CompilerServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues.Split;

/// <summary>The device's end of a split virtqueue (§2.7): takes from the available ring, puts into the used ring.</summary>
/// <remarks>
/// <code>
///  available ring   … [head] [head] [head] …          used ring   … {head,len} {head,len} …
///                       ▲             ▲                              ▲            ▲
///                   _nextAvailable  _seenAvailable (copy of idx)   _published   _nextUsed
/// </code>
/// All four count on modulo 2^16 and are cut to the ring's size only where an entry is addressed.
/// </remarks>
internal unsafe struct SplitDeviceRing : IDeviceRing<SplitDeviceRing>
{
    private readonly Descriptor* _descriptors;
    private readonly byte* _driverArea;
    private readonly byte* _deviceArea;
    private readonly int _size;
    private readonly ushort _mask;
    private readonly bool _indirect;
    private readonly bool _eventIdx;
    private readonly bool _notifyOnEmpty;
    private bool _mayBeSuppressed; // false until the first notification: before it, used_event means nothing
    private ushort _nextAvailable;
    private ushort _seenAvailable;
    private ushort _nextUsed;
    private ushort _published;

    private SplitDeviceRing(int size, in RingAreas areas, QueueOptions options, QueueSnapshot at)
    {
        _descriptors = (Descriptor*)areas.Descriptors;
        _driverArea = areas.Driver;
        _deviceArea = areas.Device;
        _size = size;
        _mask = (ushort)(size - 1);
        (_indirect, _eventIdx, _notifyOnEmpty, _) = options; // IN_ORDER is the queue's to keep
        _nextAvailable = _seenAvailable = at.NextAvailable;
        _nextUsed = _published = Volatile.Read(ref UsedIndex);
    }

    public static SplitDeviceRing Attach(in QueueLayout layout, ref GuestMemory memory, QueueOptions options, QueueSnapshot at) =>
        new(layout.Size, RingAreas.OfSplit(layout, ref memory), options, at);

    public readonly QueueSnapshot Snapshot => new(_nextAvailable);

    public static UsedEntries Entries => new(AreInDescriptorArea: false, SplitLayout.RingOffset, sizeof(UsedElement));

    public readonly int UsedPosition => _nextUsed & _mask;

    public readonly int Owed => 0;

    /// <summary>The used index that the driver sees.</summary>
    public readonly ushort UsedAt => _published;

    private readonly ref ushort AvailableIndex => ref *(ushort*)(_driverArea + SplitLayout.IndexOffset);

    private readonly ref ushort UsedIndex => ref *(ushort*)(_deviceArea + SplitLayout.IndexOffset);

    public bool HasAvailable()
    {
        if (_nextAvailable != _seenAvailable)
            return true;

        // Acquire: the entries the index promises must be read after it.
        _seenAvailable = Volatile.Read(ref AvailableIndex);
        if (_nextAvailable == _seenAvailable)
            return false;
        if ((ushort)(_seenAvailable - _nextAvailable) > _size)
            ThrowIndexJump();
        return true;
    }

    public bool TryPop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        if (!HasAvailable())
        {
            chain = default;
            return false;
        }

        ushort head = ((ushort*)(_driverArea + SplitLayout.RingOffset))[_nextAvailable & _mask];
        if (head >= _size)
            ThrowHead(head);
        _nextAvailable++;
        chain = new RingChain(head, 0);
        Read(head, ref memory, ref segments);
        return true;
    }

    /// <summary>Reads the chain at <paramref name="head"/>, which is less than the ring's size, wherever it came from.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly void Read(ushort head, ref GuestMemory memory, ref ChainSegments segments)
    {
        segments.Clear();
        if (!TryWalkPlain(head, ref memory, ref segments))
            Walk(head, ref memory, ref segments);
    }

    /// <summary>Goes on from another available index.</summary>
    public void GoTo(ushort available) => _nextAvailable = _seenAvailable = available;

    /// <summary>Follows a chain that has nothing unusual: buffers that are not empty and not split, in order; perhaps in a table.</summary>
    /// <returns>False when there is anything else. Then nothing that was read is kept: <see cref="Walk"/> reads and judges it anew.</returns>
    /// <remarks>Calls nothing in its loop, so that all it needs stays in registers: 13 ns instead of 17 for three buffers in the ring, 16 instead of 20 in a table.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool TryWalkPlain(uint index, ref GuestMemory memory, ref ChainSegments segments)
    {
        ChainSegments.Cursor cursor = segments.Open();
        for (int left = _size; left > 0 && index < (uint)_size; left--)
        {
            var descriptor = Unsafe.ReadUnaligned<Descriptor>(_descriptors + index);
            DescriptorFlags flags = descriptor.Flags;
            if ((flags & DescriptorFlags.Indirect) != 0)
                return cursor.TryClose() && TryWalkTable(descriptor, ref memory, ref segments);
            if (!cursor.TryAdd(ref memory, descriptor.Address, descriptor.Length, flags))
                return false;
            if ((flags & DescriptorFlags.Next) == 0)
                return cursor.TryClose();
            index = descriptor.Next;
        }

        return false;
    }

    /// <summary>The same for buffers in a table, in which no other is looked for: it may lie anywhere, even on the descriptor table.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly bool TryWalkTable(Descriptor table, ref GuestMemory memory, ref ChainSegments segments)
    {
        if (!_indirect || (table.Flags & DescriptorFlags.Next) != 0 || table.Length % Descriptor.Size != 0
            || !memory.TryTranslate(table.Address, table.Length, out byte* host))
            return false;
        ChainSegments.Cursor cursor = segments.Open();
        uint count = table.Length / Descriptor.Size;
        uint index = 0;
        for (uint left = count; left > 0 && index < count; left--)
        {
            var descriptor = Unsafe.ReadUnaligned<Descriptor>((Descriptor*)host + index);
            DescriptorFlags flags = descriptor.Flags;
            if ((flags & DescriptorFlags.Indirect) != 0 || !cursor.TryAdd(ref memory, descriptor.Address, descriptor.Length, flags))
                return false;
            if ((flags & DescriptorFlags.Next) == 0)
                return cursor.TryClose();
            index = descriptor.Next;
        }

        return false;
    }

    /// <summary>Follows one chain, whatever is in it. Its faults end in <paramref name="segments"/>; a fault of the table itself throws.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)] // its calls would cost TryPop the registers
    private readonly void Walk(ushort head, ref GuestMemory memory, ref ChainSegments segments)
    {
        segments.Clear();
        uint index = head;
        for (int left = _size; left > 0; left--)
        {
            Descriptor descriptor = _descriptors[index]; // the only read of it: what follows looks at the copy
            DescriptorFlags flags = descriptor.Flags;
            if ((flags & DescriptorFlags.Indirect) != 0)
            {
                WalkIndirect(descriptor, index, ref memory, ref segments);
                return;
            }

            if (!segments.TryAdd(ref memory, descriptor.Address, descriptor.Length, (flags & DescriptorFlags.Write) != 0, index))
                return;
            if ((flags & DescriptorFlags.Next) == 0)
                return;
            index = descriptor.Next;
            if (index >= (uint)_size)
                ThrowNext(index);
        }

        ThrowLoop(head);
    }

    /// <summary>Follows an indirect table (§2.7.5.3). It may stand after plain descriptors, and then ends the chain.</summary>
    private readonly void WalkIndirect(Descriptor table, uint at, ref GuestMemory memory, ref ChainSegments segments)
    {
        // WRITE is ignored on the descriptor that points at the table (§2.7.5.3.2).
        if (!_indirect)
        {
            segments.Fail(ChainFaultKind.IndirectNotNegotiated, at);
            return;
        }

        if ((table.Flags & DescriptorFlags.Next) != 0)
        {
            segments.Fail(ChainFaultKind.IndirectWithNext, at);
            return;
        }

        if (table.Length == 0 || table.Length % Descriptor.Size != 0)
        {
            segments.Fail(ChainFaultKind.IndirectLength, table.Length);
            return;
        }

        // The table must lie in one region: one that straddles two has never been seen, and a copy would be read twice.
        uint found = memory.TranslatePiece(table.Address, table.Length, MemoryAccess.Read, out byte* host);
        if (found < table.Length)
        {
            segments.Fail(memory.FaultOf(table.Address, found, MemoryAccess.Read));
            return;
        }

        uint count = table.Length / Descriptor.Size;
        uint most = Math.Min(count, (uint)segments.Capacity); // a table may be gigabytes long, and empty buffers take no segment
        uint index = 0;
        for (uint left = most; left > 0; left--)
        {
            Descriptor descriptor = Unsafe.ReadUnaligned<Descriptor>(host + (ulong)index * Descriptor.Size);
            DescriptorFlags flags = descriptor.Flags;
            if ((flags & DescriptorFlags.Indirect) != 0)
            {
                segments.Fail(ChainFaultKind.IndirectNested, index);
                return;
            }

            if (!segments.TryAdd(ref memory, descriptor.Address, descriptor.Length, (flags & DescriptorFlags.Write) != 0, index))
                return;
            if ((flags & DescriptorFlags.Next) == 0)
                return;
            index = descriptor.Next;
            if (index >= count)
            {
                segments.Fail(ChainFaultKind.IndirectNext, index);
                return;
            }
        }

        segments.Fail(most < count ? ChainFaultKind.TooManyBuffers : ChainFaultKind.IndirectLoop, most);
    }

    public void UndoPop(RingChain chain) => _nextAvailable--;

    public void Push(RingChain chain, uint written)
    {
        ((UsedElement*)(_deviceArea + SplitLayout.RingOffset))[_nextUsed & _mask] = new UsedElement(chain.Id, written);
        _nextUsed++;
    }

    public bool Publish()
    {
        ushort old = _published;
        if (_nextUsed == old)
            return false;
        Volatile.Write(ref UsedIndex, _nextUsed); // release: the entries and the buffers are visible before the index
        _published = _nextUsed;

        // The driver writes its event (or flag) and then reads our index; we write the index and then read the event.
        // Without a full fence both may read the old value, and the notification is lost for good (§2.7.10.1).
        Interlocked.MemoryBarrier();

        if (_notifyOnEmpty && _nextAvailable == Volatile.Read(ref AvailableIndex))
        {
            _mayBeSuppressed = true; // this is a notification, too
            return true;
        }

        if (!_eventIdx)
            return (Volatile.Read(ref *(ushort*)(_driverArea + SplitLayout.FlagsOffset)) & SplitLayout.NoInterrupt) == 0;

        ushort usedEvent = Volatile.Read(ref *(ushort*)(_driverArea + SplitLayout.UsedEventOffset(_size)));
        bool notify = !_mayBeSuppressed || SplitLayout.ShouldNotify(usedEvent, _nextUsed, old);
        _mayBeSuppressed = true;
        return notify;
    }

    public readonly void SuppressNotifications()
    {
        // With EVENT_IDX nothing needs to be written: the event stays behind the index, where no addition passes it.
        if (!_eventIdx)
            Volatile.Write(ref *(ushort*)(_deviceArea + SplitLayout.FlagsOffset), SplitLayout.NoNotify);
    }

    public bool RearmNotifications()
    {
        if (_eventIdx)
            Volatile.Write(ref *(ushort*)(_deviceArea + SplitLayout.AvailEventOffset(_size)), _nextAvailable);
        else
            Volatile.Write(ref *(ushort*)(_deviceArea + SplitLayout.FlagsOffset), 0);

        // The mirror of the fence in Publish: a chain added before the driver could see the new event sends no
        // notification, so the index must be read after the event is visible.
        Interlocked.MemoryBarrier();
        return HasAvailable();
    }

    private readonly void ThrowIndexJump() =>
        throw new QueueException($"avail.idx jumped from {_nextAvailable} to {_seenAvailable}, further than the {_size} entries of the queue");

    private readonly void ThrowHead(uint head) =>
        throw new QueueException($"avail.ring[{_nextAvailable & _mask}] = {head} names no descriptor of the {_size} there are");

    private readonly void ThrowNext(uint next) =>
        throw new QueueException($"desc.next = {next} names no descriptor of the {_size} there are");

    private readonly void ThrowLoop(uint head) =>
        throw new QueueException($"the chain at descriptor {head} has more links than the queue's {_size} descriptors: it loops");
}
