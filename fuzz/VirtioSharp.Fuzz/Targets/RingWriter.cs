using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A driver's hand in a ring of either format: it writes where a driver would, and what it is told.</summary>
internal abstract class RingWriter(GuestMap memory, QueueLayout layout)
{
    public QueueLayout Layout { get; } = layout;

    protected GuestMap Memory { get; } = memory;

    public static RingWriter Create(bool isPacked, GuestMap memory, QueueLayout layout) =>
        isPacked ? new PackedWriter(memory, layout) : new SplitWriter(memory, layout);

    /// <summary>Where the next chain goes.</summary>
    public abstract int Next { get; }

    /// <summary>Lays the ring out as one in which a device stands there.</summary>
    public abstract void GoTo(QueueSnapshot at);

    /// <summary>Writes one descriptor of a chain.</summary>
    public abstract void Put(ushort head, int i, ulong address, uint length, DescriptorFlags flags);

    /// <summary>Makes what was put available.</summary>
    public abstract void Show(ushort head);

    public abstract void WriteEntry(Span<byte> entry, ulong address, uint length, DescriptorFlags flags, ushort word);

    /// <summary>Whether nothing is available to a device that stands there.</summary>
    public abstract bool IsDrained(QueueSnapshot at);

    /// <summary>Makes one chain available to it, of one buffer to write, and nothing else; asks for an interrupt.</summary>
    public abstract void OfferOnly(QueueSnapshot at, ulong address, uint length);

    /// <summary>What it answered to that.</summary>
    public abstract (uint Id, uint Length) Used(QueueSnapshot at);

    public void Offer(ushort head, (ulong Address, uint Length, DescriptorFlags Flags) entry, int i)
    {
        Put(head, i, entry.Address, entry.Length, entry.Flags);
        Show(head);
    }

    public bool Overlaps(ulong address, int length)
    {
        (int descriptors, int driver, int device) = Lengths;
        return Overlap(Layout.DescriptorArea, descriptors) || Overlap(Layout.DriverArea, driver) || Overlap(Layout.DeviceArea, device);

        bool Overlap(GuestAddress area, int bytes) => address - area.Value < (ulong)bytes || area.Value - address < (ulong)length;
    }

    protected abstract (int Descriptors, int Driver, int Device) Lengths { get; }

    protected ref ushort Word(GuestAddress area, int offset) => ref MemoryMarshal.AsRef<ushort>(Bytes(area, offset, 2));

    protected Span<byte> Bytes(GuestAddress area, int offset, int length) => Memory.At(area.Value + (ulong)offset, length);
}

internal sealed class SplitWriter(GuestMap memory, QueueLayout layout) : RingWriter(memory, layout)
{
    private ushort _next;
    private ushort _usedBefore;

    public override int Next => _next;

    protected override (int Descriptors, int Driver, int Device) Lengths =>
        (SplitLayout.DescriptorTableBytes(Layout.Size), SplitLayout.DriverAreaBytes(Layout.Size), SplitLayout.DeviceAreaBytes(Layout.Size));

    private ref ushort AvailableIndex => ref Word(Layout.DriverArea, SplitLayout.IndexOffset);

    private ref ushort UsedIndex => ref Word(Layout.DeviceArea, SplitLayout.IndexOffset);

    public override void GoTo(QueueSnapshot at) => AvailableIndex = _next = at.NextAvailable;

    public override void Put(ushort head, int i, ulong address, uint length, DescriptorFlags flags) =>
        WriteEntry(Bytes(Layout.DescriptorArea, 16 * ((head + i) % Layout.Size), 16), address, length, flags, (ushort)((head + i + 1) % Layout.Size));

    public override void Show(ushort head)
    {
        Word(Layout.DriverArea, SplitLayout.RingOffset + 2 * (_next & (Layout.Size - 1))) = head;
        AvailableIndex = ++_next;
    }

    public override void WriteEntry(Span<byte> entry, ulong address, uint length, DescriptorFlags flags, ushort word) =>
        MemoryMarshal.Write(entry, new Descriptor(address, length, flags, word));

    public override bool IsDrained(QueueSnapshot at) => AvailableIndex == at.NextAvailable;

    public override void OfferOnly(QueueSnapshot at, ulong address, uint length)
    {
        WriteEntry(Bytes(Layout.DescriptorArea, 0, 16), address, length, DescriptorFlags.Write, 0);
        _next = at.NextAvailable;
        _usedBefore = UsedIndex;
        Word(Layout.DriverArea, SplitLayout.FlagsOffset) = 0;
        Word(Layout.DriverArea, SplitLayout.UsedEventOffset(Layout.Size)) = _usedBefore;
        Show(0);
    }

    public override (uint Id, uint Length) Used(QueueSnapshot at)
    {
        if (UsedIndex != (ushort)(_usedBefore + 1))
            return (uint.MaxValue, 0);
        UsedElement element = MemoryMarshal.Read<UsedElement>(Bytes(Layout.DeviceArea, SplitLayout.RingOffset + 8 * (_usedBefore & (Layout.Size - 1)), 8));
        return (element.Id, element.Length);
    }
}

internal sealed class PackedWriter(GuestMap memory, QueueLayout layout) : RingWriter(memory, layout)
{
    private int _next;
    private bool _wrap = true;

    public override int Next => _next;

    protected override (int Descriptors, int Driver, int Device) Lengths =>
        (PackedLayout.DescriptorRingBytes(Layout.Size), PackedLayout.EventBytes, PackedLayout.EventBytes);

    public override void GoTo(QueueSnapshot at) => (_next, _wrap) = (at.NextAvailable, !at.AvailableTurn);

    /// <summary>With flags that say whose it is only if they are left out: a descriptor may lie.</summary>
    public override void Put(ushort head, int i, ulong address, uint length, DescriptorFlags flags)
    {
        WriteEntry(Bytes(Layout.DescriptorArea, 16 * _next, 16), address, length, flags ^ PackedLayout.AvailableFlags(_wrap), head);
        if (++_next == Layout.Size)
            (_next, _wrap) = (0, !_wrap);
    }

    public override void Show(ushort head)
    {
    }

    public override void WriteEntry(Span<byte> entry, ulong address, uint length, DescriptorFlags flags, ushort word) =>
        MemoryMarshal.Write(entry, new PackedDescriptor(address, length, word, flags));

    public override bool IsDrained(QueueSnapshot at) => !PackedLayout.IsAvailable(Flags(at.NextAvailable), !at.AvailableTurn);

    public override void OfferOnly(QueueSnapshot at, ulong address, uint length)
    {
        for (int i = 0; i < Layout.Size; i++)
            WriteEntry(Bytes(Layout.DescriptorArea, 16 * i, 16), 0, 0, PackedLayout.UsedFlags(at.AvailableTurn), 0);
        GoTo(at);
        Word(Layout.DriverArea, PackedLayout.EventFlagsOffset) = PackedLayout.EventEnable;
        Put(0, 0, address, length, DescriptorFlags.Write);
    }

    public override (uint Id, uint Length) Used(QueueSnapshot at)
    {
        PackedDescriptor used = MemoryMarshal.Read<PackedDescriptor>(Bytes(Layout.DescriptorArea, 16 * at.NextUsed, 16));
        return PackedLayout.IsUsed(used.Flags, !at.UsedTurn) ? (used.Id, used.Length) : (uint.MaxValue, 0);
    }

    private DescriptorFlags Flags(int at) => (DescriptorFlags)Word(Layout.DescriptorArea, 16 * at + PackedDescriptor.FlagsOffset);
}
