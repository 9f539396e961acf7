using System.Runtime.CompilerServices;

namespace VirtioSharp.Check.Guest;

/// <summary>The split format (VIRTIO 1.2 §2.7), laid out by hand.</summary>
internal sealed unsafe class SplitRing : DriverRing
{
    private ushort _taken;
    private int _nextDescriptor;

    public SplitRing(GuestRegion ram, ulong start, int size, uint index = 0, ushort at = 0)
        : base(ram, start, size, index) => Restart(at);

    public override uint Base => AvailableIndex;

    public ref ushort AvailableFlags => ref Word(DriverArea);

    public ref ushort AvailableIndex => ref Word(DriverArea + 2);

    public ref ushort UsedEvent => ref Word(DriverArea + 4 + 2 * (ulong)Size);

    public ushort UsedIndex => Volatile.Read(ref Word(DeviceArea + 2));

    public ushort AvailableEvent => Volatile.Read(ref Word(DeviceArea + 4 + 8 * (ulong)Size));

    public override void Restart(ushort at = 0)
    {
        Ram.At(Start, (int)(Buffers - Start)).Clear();
        AvailableIndex = at;
        Word(DeviceArea + 2) = at;
        UsedEvent = at;
        (_taken, _nextDescriptor) = (at, 0);
    }

    public override uint Offer(params ReadOnlySpan<Segment> segments)
    {
        int head = _nextDescriptor;
        for (int i = 0; i < segments.Length; i++)
        {
            int at = _nextDescriptor;
            _nextDescriptor = (at + 1) % Size;
            Set(at, segments[i], last: i == segments.Length - 1, (ushort)_nextDescriptor);
        }

        OfferHead((ushort)head);
        return (uint)head;
    }

    public override uint OfferIndirect(ulong table, params ReadOnlySpan<Segment> segments)
    {
        for (int i = 0; i < segments.Length; i++)
            Write(table + 16 * (ulong)i, segments[i].Address, segments[i].Length, Flags(segments[i], last: i == segments.Length - 1), (ushort)(i + 1));
        int head = _nextDescriptor;
        _nextDescriptor = (head + 1) % Size;
        SetDescriptor(head, table, 16 * (uint)segments.Length, IndirectFlag);
        OfferHead((ushort)head);
        return (uint)head;
    }

    public override bool TryTake(out Used used)
    {
        if (UsedIndex == _taken)
        {
            used = default;
            return false;
        }

        byte* entry = Ram.Pointer(DeviceArea + 4 + 8 * (ulong)(_taken % Size));
        used = new Used(Unsafe.Read<uint>(entry), Unsafe.Read<uint>(entry + 4));
        _taken++;
        UsedEvent = _taken;
        return true;
    }

    // ── by hand, for the hostile ──

    public void SetDescriptor(int index, ulong address, uint length, int flags, ushort next = 0) =>
        Write(Start + 16 * (ulong)index, address, length, (ushort)flags, next);

    public void SetIndirect(int index, ulong address, uint length, int flags, ushort next = 0) =>
        Write(IndirectTable + 16 * (ulong)index, address, length, (ushort)flags, next);

    public void OfferHead(ushort head)
    {
        Word(DriverArea + 4 + 2 * (ulong)(AvailableIndex % Size)) = head;
        Volatile.Write(ref AvailableIndex, (ushort)(AvailableIndex + 1));
    }

    private void Set(int index, Segment segment, bool last, ushort next) =>
        SetDescriptor(index, segment.Address, segment.Length, Flags(segment, last), next);

    private static ushort Flags(Segment segment, bool last) => (ushort)((segment.IsWritable ? WriteFlag : 0) | (last ? 0 : NextFlag));

    private void Write(ulong guest, ulong address, uint length, ushort flags, ushort next)
    {
        byte* at = Ram.Pointer(guest);
        Unsafe.Write(at, address);
        Unsafe.Write(at + 8, length);
        Unsafe.Write(at + 12, flags);
        Unsafe.Write(at + 14, next);
    }

    private ref ushort Word(ulong guest) => ref *(ushort*)Ram.Pointer(guest);
}
