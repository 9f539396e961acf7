using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues.Split;

/// <summary>The driver's end of a split virtqueue (§2.7.13, §2.7.14): puts into the available ring, takes from the used ring.</summary>
/// <remarks>
/// The device can write the descriptor table too, so the free list and the length of each chain are kept in private
/// memory; the table itself is only ever written.
/// </remarks>
internal unsafe struct SplitDriverRing : IDriverRing<SplitDriverRing>
{
    private readonly Descriptor* _descriptors;
    private readonly byte* _driverArea;
    private readonly byte* _deviceArea;
    private DriverChains _chains;
    private readonly ushort[] _next; // the list that each descriptor is in: free, or a chain in flight
    private readonly IndirectTables _tables;
    private readonly ushort _mask;
    private readonly bool _eventIdx;
    private readonly bool _inOrder;
    private ushort _firstFree;
    private ushort _nextAvailable;
    private ushort _published;
    private ushort _nextUsed;

    private SplitDriverRing(int size, DmaArena arena, QueueOptions options)
    {
        if (!SplitLayout.IsValidSize(size))
            throw new QueueException($"queue size = {size} is not a power of two in 1…{SplitLayout.MaxQueueSize}");
        (DmaBuffer descriptors, DmaBuffer driver, DmaBuffer device) = Areas(size, arena, options.LegacyAlignment);
        Layout = new QueueLayout(size, descriptors.Address, driver.Address, device.Address);
        _descriptors = (Descriptor*)descriptors.Host;
        _driverArea = driver.Host;
        _deviceArea = device.Host;
        _mask = (ushort)(size - 1);
        _eventIdx = options.EventIdx;
        _inOrder = options.InOrder;
        _chains = new DriverChains(size, options.InOrder);
        _tables = options.Indirect ? new IndirectTables(size, arena) : default;
        _next = new ushort[size];
        for (int i = 0; i < size; i++)
            _next[i] = (ushort)((i + 1) & _mask);
        Free = size;
    }

    private static (DmaBuffer Descriptors, DmaBuffer Driver, DmaBuffer Device) Areas(int size, DmaArena arena, int legacyAlignment)
    {
        int descriptors = SplitLayout.DescriptorTableBytes(size), driver = SplitLayout.DriverAreaBytes(size), device = SplitLayout.DeviceAreaBytes(size);
        if (legacyAlignment == 0)
            return (arena.Allocate(descriptors), arena.Allocate(driver), arena.Allocate(device));

        LegacyLayout layout = LegacyLayout.Of(size, legacyAlignment);
        DmaBuffer whole = arena.Allocate(layout.Bytes, legacyAlignment);
        return (whole.Slice(0, descriptors), whole.Slice(layout.DriverAreaOffset, driver), whole.Slice(layout.DeviceAreaOffset, device));
    }

    public static SplitDriverRing Create(int size, DmaArena arena, QueueOptions options) => new(size, arena, options);

    public QueueLayout Layout { get; }

    public int Free { get; private set; }

    public readonly ushort NotificationPosition => _nextAvailable;

    private readonly ref ushort AvailableIndex => ref *(ushort*)(_driverArea + SplitLayout.IndexOffset);

    private readonly ref ushort UsedIndex => ref *(ushort*)(_deviceArea + SplitLayout.IndexOffset);

    public bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id) =>
        _tables.Suits(readable.Length + writable.Length) ? TryAddTable(readable, writable, out id) : TryAddList(readable, writable, out id);

    /// <summary>Takes as many free descriptors as there are buffers.</summary>
    private bool TryAddList(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        ushort head = id = _firstFree;
        int count = readable.Length + writable.Length;
        if (count > Free)
            return false;

        int left = count;
        ulong room = 0;
        ushort[] next = _next;
        ushort index = head;
        foreach (ref readonly DmaBuffer buffer in readable)
        {
            ushort following = next[index];
            _descriptors[index] = Describe(buffer, DescriptorFlags.None, --left, following);
            index = following;
        }

        foreach (ref readonly DmaBuffer buffer in writable)
        {
            ushort following = next[index];
            _descriptors[index] = Describe(buffer, DescriptorFlags.Write, --left, following);
            index = following;
            room += (uint)buffer.Length;
        }

        _firstFree = index;
        MakeAvailable(head, count, room);
        return true;
    }

    /// <summary>Takes one descriptor, and the table that belongs to it.</summary>
    private bool TryAddTable(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        ushort head = id = _firstFree;
        if (Free == 0)
            return false;

        int left = readable.Length + writable.Length;
        _descriptors[head] = new Descriptor(_tables.AddressOf(head), (uint)left * Descriptor.Size, DescriptorFlags.Indirect, 0);
        ulong room = 0;
        var entry = (Descriptor*)_tables.HostOf(head);
        ushort next = 0;
        foreach (ref readonly DmaBuffer buffer in readable)
            *entry++ = Describe(buffer, DescriptorFlags.None, --left, ++next);
        foreach (ref readonly DmaBuffer buffer in writable)
        {
            *entry++ = Describe(buffer, DescriptorFlags.Write, --left, ++next);
            room += (uint)buffer.Length;
        }

        _firstFree = _next[head];
        MakeAvailable(head, 1, room);
        return true;
    }

    /// <summary>Puts a chain into the available ring.</summary>
    private void MakeAvailable(ushort head, int slots, ulong room)
    {
        ((ushort*)(_driverArea + SplitLayout.RingOffset))[_nextAvailable & _mask] = head;
        _nextAvailable++;
        _chains.Add(head, slots, room);
        Free -= slots;
    }

    private static Descriptor Describe(in DmaBuffer buffer, DescriptorFlags flags, int left, ushort next) =>
        new(buffer.Address.Value, (uint)buffer.Length, left > 0 ? flags | DescriptorFlags.Next : flags, next);

    public bool Publish()
    {
        ushort old = _published;
        if (_nextAvailable == old)
            return false;
        Volatile.Write(ref AvailableIndex, _nextAvailable); // release: descriptors and ring entries before the index (§2.7.13.3)
        _published = _nextAvailable;
        _chains.Show();

        // The device re-arms and then looks at our index; we move the index and then look whether it is armed.
        // Without a full fence both may miss the other (§2.7.13.4.1).
        Interlocked.MemoryBarrier();
        if (_eventIdx)
            return SplitLayout.ShouldNotify(Volatile.Read(ref *(ushort*)(_deviceArea + SplitLayout.AvailEventOffset(Layout.Size))), _nextAvailable, old);
        return (Volatile.Read(ref *(ushort*)(_deviceArea + SplitLayout.FlagsOffset)) & SplitLayout.NoNotify) == 0;
    }

    public bool TryGet(out ushort id, out uint length)
    {
        if (_inOrder)
            return TryGetInOrder(out id, out length);

        ushort used = Volatile.Read(ref UsedIndex); // acquire: the entry and the buffers after the index
        int count = (ushort)(used - _nextUsed);
        if (count == 0)
        {
            (id, length) = (0, 0);
            return false;
        }

        if (count > _chains.InFlight)
            ThrowAhead(used);
        UsedElement element = ((UsedElement*)(_deviceArea + SplitLayout.RingOffset))[_nextUsed & _mask];
        length = _chains.Take(element.Id, element.Length, out ushort slots);
        var head = (ushort)element.Id;
        _nextUsed++;
        Release(head, slots);
        id = head;
        return true;
    }

    private bool TryGetInOrder(out ushort id, out uint length)
    {
        if (!_chains.TryTake(out id, out length, out ushort slots))
        {
            ushort used = Volatile.Read(ref UsedIndex); // acquire: the entry and the buffers after the index
            if (used == _nextUsed)
                return false;
            int count = (ushort)(used - _nextUsed);
            if (count > _chains.InFlight)
                ThrowAhead(used);

            UsedElement element = ((UsedElement*)(_deviceArea + SplitLayout.RingOffset))[_nextUsed & _mask];
            _chains.Use(element.Id, element.Length);
            int batch = _chains.BatchSize();
            if (batch > count)
                throw new QueueException($"used.ring[{_nextUsed & _mask}].id = {element.Id} stands for {batch} chains, but used.idx counts {count}");
            _chains.TryTake(out id, out length, out slots);
        }

        _nextUsed++;
        Free += slots; // the free ones are always the next in ring order, as §2.7.5 wants it
        return true;
    }

    /// <summary>Puts the chain's descriptors in front of the free list.</summary>
    private void Release(ushort head, int count)
    {
        Free += count;
        ushort last = head;
        for (int i = 1; i < count; i++)
            last = _next[last];
        _next[last] = _firstFree;
        _firstFree = head;
    }

    public readonly void SuppressInterrupts()
    {
        // With EVENT_IDX the event simply stays behind.
        if (!_eventIdx)
            Volatile.Write(ref *(ushort*)(_driverArea + SplitLayout.FlagsOffset), SplitLayout.NoInterrupt);
    }

    public readonly bool RearmInterrupts()
    {
        if (_eventIdx)
            Volatile.Write(ref *(ushort*)(_driverArea + SplitLayout.UsedEventOffset(Layout.Size)), _nextUsed);
        else
            Volatile.Write(ref *(ushort*)(_driverArea + SplitLayout.FlagsOffset), 0);
        Interlocked.MemoryBarrier(); // the event must be visible before we look once more (see SplitDeviceRing.Publish)
        return Volatile.Read(ref UsedIndex) != _nextUsed;
    }

    public readonly QueueSnapshot ResumeAt(bool isTracked)
    {
        ushort used = Volatile.Read(ref UsedIndex); // acquire: the entries after the index
        int waiting = (ushort)(used - _nextUsed);
        if (waiting > _chains.InFlight)
            ThrowAhead(used);

        // In order, the available ring still says it all: what is not used lies at its end. Otherwise what is used may be among
        // that, and what is not may be before it. The ring is ours, so it is put right.
        if (!isTracked && !_inOrder)
        {
            List<ushort> left = _chains.ListInFlight();
            for (int i = 0; i < waiting; i++)
            {
                uint id = ((UsedElement*)(_deviceArea + SplitLayout.RingOffset))[(_nextUsed + i) & _mask].Id;
                if (id > _mask || !left.Remove((ushort)id))
                    throw new QueueException($"used.ring[{(_nextUsed + i) & _mask}].id = {id} names no chain that is in flight");
            }

            for (int i = 0; i < left.Count; i++)
                ((ushort*)(_driverArea + SplitLayout.RingOffset))[(used + i) & _mask] = left[i];
        }

        return new QueueSnapshot(used);
    }

    private readonly void ThrowAhead(ushort used) =>
        throw new QueueException($"used.idx = {used} is ahead of the {_chains.InFlight} chains that are in flight");
}
