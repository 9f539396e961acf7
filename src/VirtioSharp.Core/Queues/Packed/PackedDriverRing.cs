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
    private readonly DriverChains _chains;
    private readonly IndirectTables _tables;
    private readonly ushort[] _freeIds;
    private readonly bool _eventIdx;
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
        DmaBuffer ring = arena.Allocate(PackedLayout.DescriptorRingBytes(size), PackedLayout.DescriptorRingAlignment);
        DmaBuffer driver = arena.Allocate(PackedLayout.EventBytes);
        DmaBuffer device = arena.Allocate(PackedLayout.EventBytes);
        Layout = new QueueLayout(size, ring.Address, driver.Address, device.Address);
        _ring = ring.Host;
        _driverArea = driver.Host;
        _deviceArea = device.Host;
        _eventIdx = options.EventIdx;
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

    public bool TryAdd(ChainBuffers buffers, out ushort id)
    {
        int count = buffers.Count;
        bool indirect = _tables.Suits(count);
        int slots = indirect ? 1 : count;
        if (slots > Free)
        {
            id = 0;
            return false;
        }

        id = _freeIds[--_freeIdCount]; // an id for each descriptor, so there is one
        Free -= slots;
        _chains.Add(id, slots, buffers.WritableBytes);
        if (indirect)
        {
            DmaBuffer table = _tables.For(id, count);
            var entries = (PackedDescriptor*)table.Host;
            for (int i = 0; i < count; i++)
                entries[i] = new PackedDescriptor(buffers[i].Address.Value, (uint)buffers[i].Length, 0, buffers.IsWritable(i) ? DescriptorFlags.Write : DescriptorFlags.None);
            Put(table, id, DescriptorFlags.Indirect);
            return true;
        }

        for (int i = 0; i < count; i++)
        {
            DescriptorFlags flags = i + 1 < count ? DescriptorFlags.Next : DescriptorFlags.None;
            Put(buffers[i], id, buffers.IsWritable(i) ? flags | DescriptorFlags.Write : flags);
        }

        return true;
    }

    /// <summary>Writes the next descriptor. The batch's first gets flags that say nothing yet.</summary>
    private void Put(DmaBuffer buffer, ushort id, DescriptorFlags flags)
    {
        flags |= PackedLayout.AvailableFlags(_availableWrap);
        byte* entry = _ring + (nint)_available * PackedDescriptor.Size;
        *(Le64*)entry = buffer.Address.Value;
        *(Le32*)(entry + 8) = (uint)buffer.Length;
        *(Le16*)(entry + 12) = id;
        if (_batchStart < 0)
            (_batchStart, _batchFlags) = (_available, flags);
        else
            *(Le16*)(entry + PackedDescriptor.FlagsOffset) = (ushort)flags;
        if (++_available == Layout.Size)
            (_available, _availableWrap) = (0, !_availableWrap);
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
        if (!_chains.TryTake(out id, out length, out ushort slots))
        {
            if (!IsUsed())
                return false;
            byte* entry = _ring + (nint)_used * PackedDescriptor.Size;

            // WRITE should say whether the length counts, but devices are known that leave it out although they wrote.
            _chains.Use(*(Le16*)(entry + 12), *(Le32*)(entry + 8));
            _chains.TryTake(out id, out length, out slots);
        }

        _used += slots;
        if (_used >= Layout.Size)
            (_used, _usedWrap) = (_used - Layout.Size, !_usedWrap);
        _freeIds[_freeIdCount++] = id;
        Free += slots;
        return true;
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

    private readonly ref ushort FlagsOf(int index) => ref Field(_ring + (nint)index * PackedDescriptor.Size, PackedDescriptor.FlagsOffset);

    private static ref ushort Field(byte* start, int offset) => ref *(ushort*)(start + offset);
}
