using System.Runtime.CompilerServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;

namespace VirtioSharp.Core.Queues.Packed;

/// <summary>The driver's end of a packed virtqueue (§2.8.20, §2.8.21), the mirror of <see cref="PackedDeviceRing"/>.</summary>
/// <remarks>
/// What is in flight is kept in private memory; from the ring only the flags, id and length of a used descriptor are
/// read, once each. Flags of the batch's first descriptor are written last.
/// </remarks>
internal unsafe struct PackedDriverRing : IDriverRing<PackedDriverRing>
{
    private readonly byte* _ring;
    private readonly byte* _driverArea;
    private readonly byte* _deviceArea;
    private DriverChains _chains;
    private readonly IndirectTables _tables;
    private readonly ushort[] _freeIds;
    private readonly int _size;
    private readonly bool _eventIdx;
    private readonly bool _inOrder;
    private int _freeIdCount;
    private int _available;
    private bool _availableWrap = true;
    private int _used;
    private bool _usedWrap = true;
    private int _batchStart = -1;
    private DescriptorFlags _batchFlags;

    private PackedDriverRing(int size, DmaArena arena, QueueOptions options)
    {
        if (!PackedLayout.IsValidSize(size))
            throw new QueueException($"queue size = {size} is not in 1…{PackedLayout.MaxQueueSize}");
        DmaBuffer ring = arena.Allocate(PackedLayout.DescriptorRingBytes(size));
        DmaBuffer driver = arena.Allocate(PackedLayout.EventBytes);
        DmaBuffer device = arena.Allocate(PackedLayout.EventBytes);
        Layout = new QueueLayout(size, ring.Address, driver.Address, device.Address);
        _ring = ring.Host;
        _driverArea = driver.Host;
        _deviceArea = device.Host;
        _size = size;
        _eventIdx = options.EventIdx;
        _inOrder = options.InOrder;
        _chains = new DriverChains(size, options.InOrder);
        _tables = options.Indirect ? new IndirectTables(size, arena) : default;
        Free = size;
        _freeIds = new ushort[size];
        for (int i = 0; i < size; i++)
            _freeIds[i] = (ushort)(size - 1 - i);
        _freeIdCount = size;
    }

    public static PackedDriverRing Create(int size, DmaArena arena, QueueOptions options) => new(size, arena, options);

    public QueueLayout Layout { get; }

    public int Free { get; private set; }

    public readonly ushort NotificationPosition => PackedLayout.EventPosition(_available, _availableWrap);

    public bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id) =>
        _tables.Suits(readable.Length + writable.Length) ? TryAddTable(readable, writable, out id) : TryAddList(readable, writable, out id);

    /// <summary>Takes as many entries as there are buffers.</summary>
    private bool TryAddList(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        int left = readable.Length + writable.Length;
        if (left > Free)
        {
            id = 0;
            return false;
        }

        ushort name = TakeId();
        int count = left;
        ulong room = 0;
        int at = _available;
        DescriptorFlags turn = PackedLayout.AvailableFlags(_availableWrap);
        foreach (ref readonly DmaBuffer buffer in readable)
        {
            DescriptorFlags flags = --left > 0 ? turn | DescriptorFlags.Next : turn;
            Put(at, buffer.Address.Value, (uint)buffer.Length, name, flags);
            if (++at == _size)
                (at, turn) = (0, turn ^ (DescriptorFlags.Available | DescriptorFlags.Used));
        }

        foreach (ref readonly DmaBuffer buffer in writable)
        {
            DescriptorFlags flags = --left > 0 ? turn | DescriptorFlags.Next : turn;
            Put(at, buffer.Address.Value, (uint)buffer.Length, name, flags | DescriptorFlags.Write);
            if (++at == _size)
                (at, turn) = (0, turn ^ (DescriptorFlags.Available | DescriptorFlags.Used));
            room += (uint)buffer.Length;
        }

        MakeAvailable(at, name, count, room);
        id = name;
        return true;
    }

    /// <summary>Takes one entry, and the table that belongs to its id.</summary>
    private bool TryAddTable(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        if (Free == 0)
        {
            id = 0;
            return false;
        }

        ushort name = id = TakeId();
        int at = _available;
        int count = readable.Length + writable.Length;
        Put(at, _tables.AddressOf(name), (uint)count * PackedDescriptor.Size, name, PackedLayout.AvailableFlags(_availableWrap) | DescriptorFlags.Indirect);
        ulong room = 0;
        var entry = (PackedDescriptor*)_tables.HostOf(name);
        foreach (ref readonly DmaBuffer buffer in readable)
            *entry++ = new PackedDescriptor(buffer.Address.Value, (uint)buffer.Length, 0, DescriptorFlags.None);
        foreach (ref readonly DmaBuffer buffer in writable)
        {
            *entry++ = new PackedDescriptor(buffer.Address.Value, (uint)buffer.Length, 0, DescriptorFlags.Write);
            room += (uint)buffer.Length;
        }

        MakeAvailable(at + 1 == _size ? 0 : at + 1, name, 1, room);
        return true;
    }

    private ushort TakeId() => _freeIds[--_freeIdCount]; // an id for each descriptor, so there is one

    /// <summary>Writes a descriptor. The batch's first gets flags that say nothing yet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private void Put(int at, ulong address, uint length, ushort id, DescriptorFlags flags)
    {
        byte* entry = _ring + (nint)at * PackedDescriptor.Size;
        *(Le64*)entry = address;
        *(Le32*)(entry + 8) = length;
        *(Le16*)(entry + 12) = id;
        if (_batchStart < 0)
            (_batchStart, _batchFlags) = (at, flags);
        else
            *(Le16*)(entry + PackedDescriptor.FlagsOffset) = (ushort)flags;
    }

    private void MakeAvailable(int next, ushort id, int slots, ulong room)
    {
        if (next <= _available)
            _availableWrap = !_availableWrap;
        _available = next;
        _chains.Add(id, slots, room);
        Free -= slots;
    }

    public bool Publish()
    {
        if (_batchStart < 0)
            return false;
        int old = _batchStart;
        Volatile.Write(ref FlagsOf(old), (ushort)_batchFlags); // release: the rest of the batch before it (§2.8.20)
        _batchStart = -1;
        _chains.Show();

        // We make available and then look whether the device is armed; it arms and then looks. Without a full fence
        // both may miss the other (§2.8.21.3.1).
        Interlocked.MemoryBarrier();
        ushort want = (ushort)(Volatile.Read(ref Field(_deviceArea, PackedLayout.EventFlagsOffset)) & 3);
        if (want != PackedLayout.EventDescriptor || !_eventIdx)
            return want != PackedLayout.EventDisable;
        return PackedLayout.ShouldNotify(Layout.Size, Volatile.Read(ref Field(_deviceArea, 0)), _available, _availableWrap, old);
    }

    public bool TryGet(out ushort id, out uint length)
    {
        if (_inOrder)
            return TryGetInOrder(out id, out length);
        if (!IsUsed())
        {
            (id, length) = (0, 0);
            return false;
        }

        // WRITE should say whether the length counts, but devices are known that leave it out although they wrote.
        byte* entry = _ring + (nint)_used * PackedDescriptor.Size;
        ushort name = *(Le16*)(entry + 12);
        length = _chains.Take(name, *(Le32*)(entry + 8), out ushort slots);
        id = name;
        Release(name, slots);
        return true;
    }

    private bool TryGetInOrder(out ushort id, out uint length)
    {
        if (!_chains.TryTake(out id, out length, out ushort slots))
        {
            if (!IsUsed())
                return false;
            byte* entry = _ring + (nint)_used * PackedDescriptor.Size;
            _chains.Use(*(Le16*)(entry + 12), *(Le32*)(entry + 8));
            _chains.TryTake(out id, out length, out slots);
        }

        Release(id, slots);
        return true;
    }

    private void Release(ushort id, int slots)
    {
        _used += slots;
        if (_used >= _size)
            (_used, _usedWrap) = (_used - _size, !_usedWrap);
        _freeIds[_freeIdCount++] = id;
        Free += slots;
    }

    /// <summary>Whether the entry that the device writes next has been. Nothing in flight, nothing used: flags may lie.</summary>
    private readonly bool IsUsed() =>
        _chains.InFlight > 0 && PackedLayout.IsUsed((DescriptorFlags)Volatile.Read(ref FlagsOf(_used)), _usedWrap);

    public readonly void SuppressInterrupts() =>
        Volatile.Write(ref Field(_driverArea, PackedLayout.EventFlagsOffset), PackedLayout.EventDisable);

    public readonly bool RearmInterrupts()
    {
        ushort flags = PackedLayout.EventEnable;
        if (_eventIdx)
        {
            Volatile.Write(ref Field(_driverArea, 0), PackedLayout.EventPosition(_used, _usedWrap));
            flags = PackedLayout.EventDescriptor;
        }

        Volatile.Write(ref Field(_driverArea, PackedLayout.EventFlagsOffset), flags); // release: the position before it is in force
        Interlocked.MemoryBarrier(); // armed first, then looked: see PackedDeviceRing.Publish
        return _chains.HasUsed || IsUsed();
    }

    public readonly QueueSnapshot ResumeAt(bool isTracked)
    {
        List<ushort> left = _chains.ListInFlight();
        (int at, bool wrap) = (_used, _usedWrap);
        ushort? claimed = _chains.Claimed;
        while (left.Count > 0 && (claimed is not null || PackedLayout.IsUsed((DescriptorFlags)Volatile.Read(ref FlagsOf(at)), wrap)))
        {
            // What is used and not taken yet: with IN_ORDER, all up to the one that is named.
            ushort id = claimed ?? IdAt(at);
            claimed = null;
            int last = left.IndexOf(id);
            if (last < 0)
                throw new QueueException($"desc[{at}].id = {id} is used, and names no chain that is in flight");
            int first = _inOrder ? 0 : last;
            for (int i = first; i <= last; i++)
                Step(ref at, ref wrap, _chains.SlotsOf(left[i]));
            left.RemoveRange(first, last - first + 1);
        }

        if (!isTracked)
            CheckIntact(at, wrap, left);
        return new QueueSnapshot((ushort)at, !wrap, (ushort)at, !wrap);
    }

    /// <summary>The device writes used descriptors over available ones: in order over those of the same chain, otherwise over others.
    /// Then not all that follows is of the oldest chain that is left. (The driver writes the id into each descriptor.)</summary>
    private readonly void CheckIntact(int at, bool wrap, List<ushort> left)
    {
        foreach (ushort id in left)
        {
            for (int slots = _chains.SlotsOf(id); slots > 0; slots--)
            {
                if (IdAt(at) != id || !PackedLayout.IsAvailable((DescriptorFlags)FlagsOf(at), wrap))
                    throw new QueueException($"desc[{at}].id = {IdAt(at)} where chain {id} was: chains of a packed ring were used out of order, and those in flight are written over");
                Step(ref at, ref wrap, 1);
            }
        }
    }

    private readonly ushort IdAt(int index) => Field(_ring + (nint)index * PackedDescriptor.Size, 12);

    private readonly void Step(ref int at, ref bool wrap, int slots)
    {
        at += slots;
        if (at >= _size)
            (at, wrap) = (at - _size, !wrap);
    }

    private readonly ref ushort FlagsOf(int index) => ref Field(_ring + (nint)index * PackedDescriptor.Size, PackedDescriptor.FlagsOffset);

    private static ref ushort Field(byte* start, int offset) => ref *(ushort*)(start + offset);
}
