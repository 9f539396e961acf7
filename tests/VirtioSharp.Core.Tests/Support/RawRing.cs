using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A split ring as bytes: either end's part of it can be written, rightly or wrongly.</summary>
internal sealed class RawRing
{
    private readonly DmaBuffer _descriptors;
    private readonly DmaBuffer _driver;
    private readonly DmaBuffer _device;
    private readonly int _size;
    private ushort _taken;

    public RawRing(DmaArena arena, int size)
    {
        _size = size;
        _descriptors = arena.Allocate(SplitLayout.DescriptorTableBytes(size));
        _driver = arena.Allocate(SplitLayout.DriverAreaBytes(size));
        _device = arena.Allocate(SplitLayout.DeviceAreaBytes(size));
        Layout = new QueueLayout(size, _descriptors.Address, _driver.Address, _device.Address);
    }

    /// <summary>A ring that somebody else laid out in <paramref name="arena"/>.</summary>
    public RawRing(DmaArena arena, QueueLayout layout)
    {
        (_size, Layout) = (layout.Size, layout);
        _descriptors = At(layout.DescriptorArea, SplitLayout.DescriptorTableBytes(_size));
        _driver = At(layout.DriverArea, SplitLayout.DriverAreaBytes(_size));
        _device = At(layout.DeviceArea, SplitLayout.DeviceAreaBytes(_size));

        DmaBuffer At(GuestAddress start, int bytes) =>
            new(start, arena.Region.Host + (nint)(start.Value - arena.Region.Start.Value), bytes);
    }

    public QueueLayout Layout { get; }

    public Span<byte> DescriptorBytes => _descriptors.Span;

    public Span<byte> DriverBytes => _driver.Span;

    public Span<byte> DeviceBytes => _device.Span;

    public ref ushort AvailableFlags => ref Word(_driver, SplitLayout.FlagsOffset);

    public ref ushort AvailableIndex => ref Word(_driver, SplitLayout.IndexOffset);

    public ref ushort UsedEvent => ref Word(_driver, SplitLayout.UsedEventOffset(_size));

    public ref ushort UsedFlags => ref Word(_device, SplitLayout.FlagsOffset);

    public ref ushort UsedIndex => ref Word(_device, SplitLayout.IndexOffset);

    public ref ushort AvailableEvent => ref Word(_device, SplitLayout.AvailEventOffset(_size));

    public ref Descriptor this[int index] => ref MemoryMarshal.Cast<byte, Descriptor>(_descriptors.Span)[index];

    /// <summary>An entry of the used ring, by the index that counts on modulo 2^16.</summary>
    public ref UsedElement Used(ushort index) =>
        ref MemoryMarshal.Cast<byte, UsedElement>(_device.Span.Slice(SplitLayout.RingOffset, 8 * _size))[index % _size];

    /// <summary>Makes the chain at <paramref name="head"/> available, as a driver does.</summary>
    public void Offer(ushort head)
    {
        Word(_driver, SplitLayout.RingOffset + 2 * (AvailableIndex % _size)) = head;
        AvailableIndex++;
    }

    /// <summary>Describes a chain in the descriptors from <paramref name="head"/> on, and makes it available.</summary>
    public void Offer(ushort head, params ReadOnlySpan<Entry> chain)
    {
        for (int i = 0; i < chain.Length; i++)
        {
            ushort next = (ushort)(head + i + 1);
            DescriptorFlags more = i + 1 < chain.Length ? DescriptorFlags.Next : DescriptorFlags.None;
            this[head + i] = new Descriptor(chain[i].Address, chain[i].Length, chain[i].Flags | more, next);
        }

        Offer(head);
    }

    /// <summary>Takes the next used chain, as a driver does.</summary>
    public bool TryTakeUsed(out UsedElement used)
    {
        used = Used(_taken);
        if (_taken == UsedIndex)
            return false;
        _taken++;
        return true;
    }

    /// <summary>Says that a chain was used, as a device does.</summary>
    public void Use(uint id, uint length)
    {
        Used(UsedIndex) = new UsedElement(id, length);
        UsedIndex++;
    }

    private static ref ushort Word(DmaBuffer area, int offset) => ref MemoryMarshal.AsRef<ushort>(area.Span[offset..]);
}
