using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues.Split;

/// <summary>The driver's end of a split virtqueue (§2.7.13, §2.7.14): puts into the available ring, takes from the used ring.</summary>
/// <remarks>
/// The device can write the descriptor table too, so the free list and the length of each chain are kept in private
/// memory; the table itself is only ever written.
/// </remarks>
internal unsafe struct SplitDriverRing : IDriverRing<SplitDriverRing>
{
    /// <summary>What the driver knows of the chain that starts at a descriptor, and where its list goes on.</summary>
    private struct Entry
    {
        public ushort Next;        // in the free list, and in a chain that is in flight
        public ushort Count;       // descriptors of the chain that starts here; 0 when none does
        public uint Writable;      // bytes the device may write to it
        public ushort Available;   // the available index that it was added at
    }

    /// <summary>Entries of the indirect table that each descriptor has ready; longer chains go into the ring itself.</summary>
    private const int IndirectEntries = 16;

    private readonly Descriptor* _descriptors;
    private readonly byte* _driverArea;
    private readonly byte* _deviceArea;
    private readonly Entry[] _entries;
    private readonly DmaBuffer _tables;
    private readonly ushort _mask;
    private readonly bool _indirect;
    private readonly bool _eventIdx;
    private ushort _firstFree;
    private ushort _nextAvailable;
    private ushort _published;
    private ushort _nextUsed;

    private SplitDriverRing(int size, DmaArena arena, QueueOptions options)
    {
        if (!SplitLayout.IsValidSize(size))
            throw new QueueException($"queue size = {size} is not a power of two in 1…{SplitLayout.MaxQueueSize}");
        DmaBuffer descriptors = arena.Allocate(SplitLayout.DescriptorTableBytes(size), SplitLayout.DescriptorTableAlignment);
        DmaBuffer driver = arena.Allocate(SplitLayout.DriverAreaBytes(size));
        DmaBuffer device = arena.Allocate(SplitLayout.DeviceAreaBytes(size));
        Layout = new QueueLayout(size, descriptors.Address, driver.Address, device.Address);
        _descriptors = (Descriptor*)descriptors.Host;
        _driverArea = driver.Host;
        _deviceArea = device.Host;
        _mask = (ushort)(size - 1);
        (_indirect, _eventIdx, _) = options; // NOTIFY_ON_EMPTY is the device's to obey
        if (_indirect)
            _tables = arena.Allocate(size * IndirectEntries * Descriptor.Size, SplitLayout.DescriptorTableAlignment);

        _entries = new Entry[size];
        for (int i = 0; i < size; i++)
            _entries[i].Next = (ushort)(i + 1);
        Free = size;
    }

    public static SplitDriverRing Create(int size, DmaArena arena, QueueOptions options) => new(size, arena, options);

    public QueueLayout Layout { get; }

    public int Free { get; private set; }

    private readonly ref ushort AvailableIndex => ref *(ushort*)(_driverArea + SplitLayout.IndexOffset);

    private readonly ref ushort UsedIndex => ref *(ushort*)(_deviceArea + SplitLayout.IndexOffset);

    public bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id)
    {
        int count = readable.Length + writable.Length;
        if (count == 0)
            throw new ArgumentException("a chain has at least one buffer (§2.7.4)", nameof(writable));

        id = _firstFree;
        bool indirect = _indirect && count is > 1 and <= IndirectEntries && Free > 0;
        int needed = indirect ? 1 : count;
        if (needed > Free)
            return false;

        ulong room = 0;
        if (indirect)
        {
            DmaBuffer table = _tables.Slice(id * IndirectEntries * Descriptor.Size, count * Descriptor.Size);
            var entries = (Descriptor*)table.Host;
            for (int i = 0; i < count; i++)
                entries[i] = Describe(readable, writable, i, i + 1 < count ? (ushort)(i + 1) : null, ref room);
            _descriptors[id] = new Descriptor(table.Address.Value, (uint)table.Length, DescriptorFlags.Indirect, 0);
            _firstFree = _entries[id].Next;
        }
        else
        {
            ushort index = id;
            for (int i = 0; i < count; i++)
            {
                ushort next = _entries[index].Next;
                _descriptors[index] = Describe(readable, writable, i, i + 1 < count ? next : null, ref room);
                index = next;
            }

            _firstFree = index;
        }

        Free -= needed;
        _entries[id].Count = (ushort)needed;
        _entries[id].Writable = (uint)Math.Min(room, uint.MaxValue);
        _entries[id].Available = _nextAvailable;
        ((ushort*)(_driverArea + SplitLayout.RingOffset))[_nextAvailable & _mask] = id;
        _nextAvailable++;
        return true;
    }

    private static Descriptor Describe(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, int i, ushort? next, ref ulong room)
    {
        DescriptorFlags flags = next is null ? DescriptorFlags.None : DescriptorFlags.Next;
        DmaBuffer buffer;
        if (i < readable.Length)
        {
            buffer = readable[i];
        }
        else
        {
            buffer = writable[i - readable.Length];
            flags |= DescriptorFlags.Write;
            room += (ulong)buffer.Length;
        }

        return new Descriptor(buffer.Address.Value, (uint)buffer.Length, flags, next ?? 0);
    }

    public bool Publish()
    {
        ushort old = _published;
        if (_nextAvailable == old)
            return false;
        Volatile.Write(ref AvailableIndex, _nextAvailable); // release: descriptors and ring entries before the index (§2.7.13.3)
        _published = _nextAvailable;

        // The device re-arms and then looks at our index; we move the index and then look whether it is armed.
        // Without a full fence both may miss the other (§2.7.13.4.1).
        Interlocked.MemoryBarrier();
        if (_eventIdx)
            return SplitLayout.ShouldNotify(Volatile.Read(ref *(ushort*)(_deviceArea + SplitLayout.AvailEventOffset(Layout.Size))), _nextAvailable, old);
        return (Volatile.Read(ref *(ushort*)(_deviceArea + SplitLayout.FlagsOffset)) & SplitLayout.NoNotify) == 0;
    }

    public bool TryGet(out ushort id, out uint length)
    {
        id = 0;
        length = 0;
        ushort used = Volatile.Read(ref UsedIndex); // acquire: the entry and the buffers after the index
        if (used == _nextUsed)
            return false;
        if ((ushort)(used - _nextUsed) > (ushort)(_published - _nextUsed))
            throw new QueueException($"used.idx = {used} is ahead of the {_published} chains that were made available");

        UsedElement element = ((UsedElement*)(_deviceArea + SplitLayout.RingOffset))[_nextUsed & _mask];
        uint head = element.Id;
        if (head >= (uint)_entries.Length || !IsInFlight(_entries[head]))
            throw new QueueException($"used.ring[{_nextUsed & _mask}].id = {head} is no chain that is in flight");

        ref Entry entry = ref _entries[head];
        id = (ushort)head;
        length = Math.Min(element.Length, entry.Writable);
        _nextUsed++;
        Release(head);
        return true;
    }

    /// <summary>Whether a chain starts there, and the device has been shown it.</summary>
    private readonly bool IsInFlight(in Entry entry) =>
        entry.Count != 0 && (ushort)(entry.Available - _published) >= (ushort)(_nextAvailable - _published);

    /// <summary>Puts the chain's descriptors in front of the free list.</summary>
    private void Release(uint head)
    {
        int count = _entries[head].Count;
        _entries[head].Count = 0;
        uint last = head;
        for (int i = 1; i < count; i++)
            last = _entries[last].Next;
        _entries[last].Next = _firstFree;
        _firstFree = (ushort)head;
        Free += count;
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
}
