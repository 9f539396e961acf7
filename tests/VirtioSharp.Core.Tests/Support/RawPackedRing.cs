using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A packed ring as bytes: either end's part of it can be written, rightly or wrongly.</summary>
internal sealed class RawPackedRing
{
    private readonly DmaBuffer _ring;
    private readonly DmaBuffer _driver;
    private readonly DmaBuffer _device;
    private readonly int _size;
    private readonly int[] _slots;
    private int _inFlight;
    private int _available;
    private bool _availableWrap = true;
    private int _used;
    private bool _usedWrap = true;

    public RawPackedRing(DmaArena arena, int size)
        : this(arena, new QueueLayout(size, arena.Allocate(PackedLayout.DescriptorRingBytes(size)).Address, arena.Allocate(4).Address, arena.Allocate(4).Address))
    {
    }

    /// <summary>A ring that somebody else laid out in <paramref name="arena"/>.</summary>
    public RawPackedRing(DmaArena arena, QueueLayout layout)
    {
        (_size, Layout, _slots) = (layout.Size, layout, new int[layout.Size]);
        _ring = At(layout.DescriptorArea, PackedLayout.DescriptorRingBytes(_size));
        _driver = At(layout.DriverArea, PackedLayout.EventBytes);
        _device = At(layout.DeviceArea, PackedLayout.EventBytes);

        DmaBuffer At(GuestAddress start, int bytes) =>
            new(start, arena.Region.Host + (nint)(start.Value - arena.Region.Start.Value), bytes);
    }

    public QueueLayout Layout { get; }

    public Span<byte> DescriptorBytes => _ring.Span;

    public Span<byte> DriverBytes => _driver.Span;

    public Span<byte> DeviceBytes => _device.Span;

    public ref ushort DriverEvent => ref Word(_driver, 0);

    public ref ushort DriverEventFlags => ref Word(_driver, PackedLayout.EventFlagsOffset);

    public ref ushort DeviceEvent => ref Word(_device, 0);

    public ref ushort DeviceEventFlags => ref Word(_device, PackedLayout.EventFlagsOffset);

    public ref PackedDescriptor this[int index] => ref MemoryMarshal.Cast<byte, PackedDescriptor>(_ring.Span)[index];

    /// <summary>Goes to where a device stands that holds nothing.</summary>
    public void GoTo(QueueSnapshot at)
    {
        (_available, _availableWrap, _used, _usedWrap) = (at.NextAvailable, !at.AvailableTurn, at.NextUsed, !at.UsedTurn);
        _inFlight = 0;
    }

    /// <summary>Makes a chain available, as a driver does.</summary>
    public void Offer(ushort id, params ReadOnlySpan<Entry> chain)
    {
        for (int i = 0; i < chain.Length; i++)
            Put(id, chain[i], i + 1 < chain.Length ? DescriptorFlags.Next : DescriptorFlags.None);
        if (id < _size)
            _slots[id] = chain.Length;
        _inFlight++;
    }

    /// <summary>Writes the next descriptor, available, whatever it says.</summary>
    public void Put(ushort id, Entry entry, DescriptorFlags more)
    {
        this[_available] = new PackedDescriptor(entry.Address, entry.Length, id, entry.Flags | more | PackedLayout.AvailableFlags(_availableWrap));
        Move(ref _available, ref _availableWrap, 1);
    }

    /// <summary>Takes the next used chain, as a driver does.</summary>
    public bool TryTakeUsed(out UsedElement used)
    {
        PackedDescriptor descriptor = this[_used];
        used = new UsedElement(descriptor.Id, descriptor.Length);
        if (_inFlight == 0 || !PackedLayout.IsUsed(descriptor.Flags, _usedWrap))
            return false;
        _inFlight--;
        Move(ref _used, ref _usedWrap, _slots[descriptor.Id]);
        return true;
    }

    /// <summary>Says that a chain was used, as a device does.</summary>
    public void Use(ushort id, uint length, int slots = 1, DescriptorFlags flags = DescriptorFlags.None)
    {
        this[_used] = new PackedDescriptor(0, length, id, flags | PackedLayout.UsedFlags(_usedWrap));
        Move(ref _used, ref _usedWrap, slots);
    }

    private void Move(ref int index, ref bool wrap, int slots)
    {
        index += slots;
        if (index >= _size)
            (index, wrap) = (index - _size, !wrap);
    }

    private static ref ushort Word(DmaBuffer area, int offset) => ref MemoryMarshal.AsRef<ushort>(area.Span[offset..]);
}
