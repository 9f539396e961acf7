using System.Runtime.CompilerServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;

namespace VirtioSharp.Core.Queues.Packed;

/// <summary>The device's end of a packed virtqueue (§2.8): one ring that both ends go round, overwriting what they are done with.</summary>
/// <remarks>
/// <code>
///   used, used, │available, available, available│ used …          flags of each entry tell whose it is
///               ▲                               ▲
///           _used (write here next)       _available (look here next); what lies between is in flight
/// </code>
/// The used descriptor of the first chain of a batch gets its flags last: until then the driver, which looks at that
/// entry only, sees nothing of the batch.
/// </remarks>
internal unsafe struct PackedDeviceRing : IDeviceRing<PackedDeviceRing>
{
    private readonly byte* _ring;
    private readonly byte* _driverArea;
    private readonly byte* _deviceArea;
    private readonly int _size;
    private readonly bool _indirect;
    private readonly bool _eventIdx;
    private int _available;
    private bool _availableWrap;
    private int _used;
    private bool _usedWrap;
    private int _batchStart = -1; // where the batch's first used descriptor waits for its flags; −1: no batch
    private DescriptorFlags _batchFlags;
    private ushort _eventFlags;

    private PackedDeviceRing(int size, in RingAreas areas, QueueOptions options, QueueSnapshot at)
    {
        if (at.NextAvailable >= size || at.NextUsed >= size)
            throw new QueueException($"ring base = {at.NextAvailable} and {at.NextUsed} are not both below the queue size {size}");
        _ring = areas.Descriptors;
        _driverArea = areas.Driver;
        _deviceArea = areas.Device;
        _size = size;
        (_indirect, _eventIdx, _, _) = options;
        (_available, _availableWrap) = (at.NextAvailable, !at.AvailableTurn);
        (_used, _usedWrap) = (at.NextUsed, !at.UsedTurn);
        _eventFlags = ushort.MaxValue; // unknown: the first suppression writes
    }

    public static PackedDeviceRing Attach(in QueueLayout layout, ref GuestMemory memory, QueueOptions options, QueueSnapshot at) =>
        new(layout.Size, RingAreas.OfPacked(layout, ref memory), options, at);

    public readonly QueueSnapshot Snapshot => new((ushort)_available, !_availableWrap, (ushort)_used, !_usedWrap);

    public static UsedEntries Entries => new(AreInDescriptorArea: true, 0, PackedDescriptor.Size);

    public readonly int UsedPosition => _used;

    public readonly int Owed => 0;

    /// <summary>The entry to look at next.</summary>
    public readonly int AvailableAt => _available;

    public readonly bool HasAvailable() =>
        // Acquire: the descriptors of the list must be read after the first one's flags.
        PackedLayout.IsAvailable((DescriptorFlags)Volatile.Read(ref FlagsOf(_available)), _availableWrap);

    public bool TryPop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        var flags = (DescriptorFlags)Volatile.Read(ref FlagsOf(_available)); // acquire, as in HasAvailable
        if (!PackedLayout.IsAvailable(flags, _availableWrap))
        {
            chain = default;
            return false;
        }

        segments.Clear();
        return (flags & DescriptorFlags.Indirect) == 0
            ? TryPopPlain(ref memory, ref segments, out chain) || Pop(ref memory, ref segments, out chain)
            : TryPopTable(ref memory, ref segments, out chain) || Pop(ref memory, ref segments, out chain);
    }

    /// <summary>Takes a list that has nothing unusual: buffers that are not empty and not split, in order.</summary>
    /// <returns>False when there is anything else. Then nothing that was read is kept: <see cref="Pop"/> reads and judges it anew.</returns>
    /// <remarks>Calls nothing, so that all it needs stays in registers: 15 ns instead of 19 for three buffers.</remarks>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryPopPlain(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        ChainSegments.Cursor cursor = segments.Open();
        int index = _available;
        for (int slots = 1; slots <= _size; slots++)
        {
            var descriptor = Unsafe.ReadUnaligned<PackedDescriptor>(_ring + (nint)index * PackedDescriptor.Size);
            DescriptorFlags flags = descriptor.Flags;
            if (++index == _size)
                index = 0;
            if ((flags & DescriptorFlags.Indirect) != 0 || !cursor.TryAdd(ref memory, descriptor.Address, descriptor.Length, flags))
                break;
            if ((flags & DescriptorFlags.Next) != 0)
                continue;
            if (descriptor.Id >= _size || !cursor.TryClose())
                break;
            chain = new RingChain(descriptor.Id, (ushort)slots);
            Advance(index);
            return true;
        }

        chain = default;
        return false;
    }

    /// <summary>The same for buffers in a table, which is then all of the list.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryPopTable(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        chain = default;
        var descriptor = Unsafe.ReadUnaligned<PackedDescriptor>(_ring + (nint)_available * PackedDescriptor.Size);
        uint count = descriptor.Length / PackedDescriptor.Size;
        if ((descriptor.Flags & (DescriptorFlags.Indirect | DescriptorFlags.Next)) != DescriptorFlags.Indirect || !_indirect
            || descriptor.Id >= _size || count == 0 || descriptor.Length % PackedDescriptor.Size != 0
            || !memory.TryTranslate(descriptor.Address, descriptor.Length, out byte* host))
            return false;

        ChainSegments.Cursor cursor = segments.Open();
        for (; count > 0; count--, host += PackedDescriptor.Size)
        {
            var entry = Unsafe.ReadUnaligned<PackedDescriptor>(host);
            if (!cursor.TryAdd(ref memory, entry.Address, entry.Length, entry.Flags))
                return false;
        }

        if (!cursor.TryClose())
            return false;
        chain = new RingChain(descriptor.Id, 1);
        Advance(_available + 1 == _size ? 0 : _available + 1);
        return true;
    }

    /// <summary>Goes on from where another device stood, that perhaps died between a used descriptor and its publication.</summary>
    /// <remarks>All but the first of a batch have their flags by then. What is not published must not look used when its turn comes.</remarks>
    public void TakeOver(QueueSnapshot at)
    {
        (_available, _availableWrap) = (at.NextAvailable, !at.AvailableTurn);
        (_used, _usedWrap) = (at.NextUsed, !at.UsedTurn);
        bool wrap = _usedWrap;
        for (int index = _used; index != _available || wrap != _availableWrap;)
        {
            if (PackedLayout.IsUsed((DescriptorFlags)FlagsOf(index), wrap))
                FlagsOf(index) = (ushort)PackedLayout.AvailableFlags(wrap);
            if (++index == _size)
                (index, wrap) = (0, !wrap);
        }
    }

    /// <summary>A descriptor of the ring, whatever it says by now.</summary>
    public readonly PackedDescriptor this[int index] => Unsafe.ReadUnaligned<PackedDescriptor>(_ring + (nint)index * PackedDescriptor.Size);

    private void Advance(int index)
    {
        if (index <= _available)
            _availableWrap = !_availableWrap;
        _available = index;
    }

    /// <summary>Takes a list, whatever is in it. Its faults end in <paramref name="segments"/>; a fault of the list itself throws.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)] // its calls would cost TryPop the registers
    private bool Pop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        segments.Clear();
        int index = _available;
        for (int slots = 1; slots <= _size; slots++)
        {
            // The only read of it. Should the driver change AVAIL or USED after we looked, that is its own mistake.
            var descriptor = Unsafe.ReadUnaligned<PackedDescriptor>(_ring + (nint)index * PackedDescriptor.Size);
            DescriptorFlags flags = descriptor.Flags;
            if (++index == _size)
                index = 0;

            // A fault ends the reading of buffers, not of the list: its length must be known to go on behind it.
            if (segments.Fault.Kind == ChainFaultKind.None)
                Add(descriptor, slots, ref memory, ref segments);
            if ((flags & DescriptorFlags.Next) != 0)
                continue;

            if (descriptor.Id >= _size)
                ThrowId(descriptor.Id);
            if (index <= _available)
                _availableWrap = !_availableWrap;
            _available = index;
            chain = new RingChain(descriptor.Id, (ushort)slots);
            return true;
        }

        throw new QueueException($"the list at entry {_available} has NEXT in all {_size} entries: it does not end");
    }

    /// <summary>Adds what one descriptor stands for: the number <paramref name="slot"/> of its list, from 1.</summary>
    public readonly void Add(PackedDescriptor descriptor, int slot, ref GuestMemory memory, ref ChainSegments segments)
    {
        DescriptorFlags flags = descriptor.Flags;
        if ((flags & DescriptorFlags.Indirect) == 0)
            segments.TryAdd(ref memory, descriptor.Address, descriptor.Length, (flags & DescriptorFlags.Write) != 0, (uint)slot - 1);
        else
            WalkIndirect(descriptor, flags, slot, ref memory, ref segments);
    }

    /// <summary>Reads an indirect table (§2.8.7): entries one after the other, of whose flags only WRITE counts.</summary>
    private readonly void WalkIndirect(PackedDescriptor table, DescriptorFlags flags, int slot, ref GuestMemory memory, ref ChainSegments segments)
    {
        if (!_indirect)
        {
            segments.Fail(ChainFaultKind.IndirectNotNegotiated, (uint)slot - 1);
            return;
        }

        // A list is all plain or one table (§2.8.6), so NEXT cannot be; a table after plain entries is read, like a split ring's.
        if ((flags & DescriptorFlags.Next) != 0)
        {
            segments.Fail(ChainFaultKind.IndirectWithNext, (uint)slot - 1);
            return;
        }

        if (table.Length == 0 || table.Length % PackedDescriptor.Size != 0)
        {
            segments.Fail(ChainFaultKind.IndirectLength, table.Length);
            return;
        }

        uint count = table.Length / PackedDescriptor.Size;
        if (count > (uint)segments.Capacity)
        {
            segments.Fail(ChainFaultKind.TooManyBuffers, (uint)segments.Capacity);
            return;
        }

        uint found = memory.TranslatePiece(table.Address, table.Length, MemoryAccess.Read, out byte* host);
        if (found < table.Length)
        {
            segments.Fail(memory.FaultOf(table.Address, found, MemoryAccess.Read));
            return;
        }

        for (uint i = 0; i < count; i++)
        {
            var descriptor = Unsafe.ReadUnaligned<PackedDescriptor>(host + (nuint)i * PackedDescriptor.Size);
            if (!segments.TryAdd(ref memory, descriptor.Address, descriptor.Length, (descriptor.Flags & DescriptorFlags.Write) != 0, i))
                return;
        }
    }

    public void UndoPop(RingChain chain)
    {
        _available -= chain.Slots;
        if (_available < 0)
        {
            _available += _size;
            _availableWrap = !_availableWrap;
        }
    }

    public void Push(RingChain chain, uint written)
    {
        byte* entry = _ring + (nint)_used * PackedDescriptor.Size;
        DescriptorFlags flags = PackedLayout.UsedFlags(_usedWrap) | (written > 0 ? DescriptorFlags.Write : DescriptorFlags.None);
        *(Le32*)(entry + 8) = written;
        *(Le16*)(entry + 12) = chain.Id;
        if (_batchStart < 0)
            (_batchStart, _batchFlags) = (_used, flags);
        else
            *(Le16*)(entry + PackedDescriptor.FlagsOffset) = (ushort)flags;

        _used += chain.Slots;
        if (_used >= _size)
        {
            _used -= _size;
            _usedWrap = !_usedWrap;
        }
    }

    public bool Publish()
    {
        if (_batchStart < 0)
            return false;
        int old = _batchStart;
        Volatile.Write(ref FlagsOf(old), (ushort)_batchFlags); // release: buffers and the rest of the batch before it
        _batchStart = -1;

        // The same race as in a split ring: we mark and then read the event, the driver sets the event and then looks.
        Interlocked.MemoryBarrier();

        ushort want = (ushort)(Volatile.Read(ref Field(_driverArea, PackedLayout.EventFlagsOffset)) & 3);
        if (want != PackedLayout.EventDescriptor || !_eventIdx)
            return want != PackedLayout.EventDisable;
        return PackedLayout.ShouldNotify(_size, Volatile.Read(ref Field(_driverArea, 0)), _used, _usedWrap, old);
    }

    public void SuppressNotifications()
    {
        if (_eventFlags != PackedLayout.EventDisable)
            WriteEventFlags(PackedLayout.EventDisable);
    }

    public bool RearmNotifications()
    {
        if (_eventIdx)
        {
            Volatile.Write(ref Field(_deviceArea, 0), PackedLayout.EventPosition(_available, _availableWrap));
            WriteEventFlags(PackedLayout.EventDescriptor); // release: the position is visible before it is in force
        }
        else
        {
            WriteEventFlags(PackedLayout.EventEnable);
        }

        Interlocked.MemoryBarrier(); // see Publish: look once more only after the event is visible
        return HasAvailable();
    }

    private void WriteEventFlags(ushort flags)
    {
        Volatile.Write(ref Field(_deviceArea, PackedLayout.EventFlagsOffset), flags);
        _eventFlags = flags;
    }

    private readonly ref ushort FlagsOf(int index) => ref Field(_ring + (nint)index * PackedDescriptor.Size, PackedDescriptor.FlagsOffset);

    private static ref ushort Field(byte* start, int offset) => ref *(ushort*)(start + offset);

    private readonly void ThrowId(ushort id) =>
        throw new QueueException($"buffer id = {id} of the list at entry {_available} is not below the queue size {_size}");
}
