using System.Runtime.CompilerServices;

namespace VirtioSharp.Check.Guest;

/// <summary>The packed format (VIRTIO 1.2 §2.8), laid out by hand.</summary>
internal sealed unsafe class PackedRing : DriverRing
{
    private const ushort AvailableFlag = 1 << 7, UsedFlag = 1 << 15;

    private readonly int[] _lengths;
    private int _next, _taken;
    private bool _wrap = true, _takenWrap = true;

    public PackedRing(GuestRegion ram, ulong start, int size, uint index = 0)
        : base(ram, start, size, index)
    {
        _lengths = new int[size];
        Restart();
    }

    /// <summary>Both halves: index and wrap counter, available below and used above.</summary>
    public override uint Base => Half(_next, _wrap) | Half(_taken, _takenWrap) << 16;

    public override void Restart(ushort at = 0)
    {
        Ram.At(Start, (int)(Buffers - Start)).Clear();
        Array.Clear(_lengths);
        (_next, _taken, _wrap, _takenWrap) = (0, 0, true, true);
    }

    public override uint Offer(params ReadOnlySpan<Segment> segments)
    {
        uint id = (uint)_next; // no two chains start at one place while both are in the ring
        byte* head = Slot(_next);
        ushort headFlags = 0;
        _lengths[id] = segments.Length;
        for (int i = 0; i < segments.Length; i++)
        {
            ushort flags = (ushort)((segments[i].IsWritable ? WriteFlag : 0) | (i < segments.Length - 1 ? NextFlag : 0) | (_wrap ? AvailableFlag : UsedFlag));
            Write(Slot(_next), segments[i].Address, segments[i].Length, (ushort)id);
            if (i == 0)
                headFlags = flags;
            else
                Unsafe.Write(Slot(_next) + 14, flags);
            Advance(ref _next, ref _wrap, 1);
        }

        Volatile.Write(ref *(ushort*)(head + 14), headFlags); // last: now the device may look
        return id;
    }

    public override uint OfferIndirect(ulong table, params ReadOnlySpan<Segment> segments)
    {
        for (int i = 0; i < segments.Length; i++)
        {
            byte* at = Ram.Pointer(table + 16 * (ulong)i);
            Write(at, segments[i].Address, segments[i].Length, 0);
            Unsafe.Write(at + 14, (ushort)(segments[i].IsWritable ? WriteFlag : 0));
        }

        return OfferRaw(table, 16 * (uint)segments.Length, IndirectFlag, (ushort)_next);
    }

    /// <summary>One descriptor with any flags and any id, made available.</summary>
    public uint OfferRaw(ulong address, uint length, int flags, ushort id)
    {
        byte* at = Slot(_next);
        if (id < _lengths.Length)
            _lengths[id] = 1;
        Write(at, address, length, id);
        ushort all = (ushort)(flags | (_wrap ? AvailableFlag : UsedFlag));
        Volatile.Write(ref *(ushort*)(at + 14), all);
        Advance(ref _next, ref _wrap, 1);
        return id;
    }

    public override bool TryTake(out Used used)
    {
        byte* at = Slot(_taken);
        ushort flags = Volatile.Read(ref *(ushort*)(at + 14));
        bool available = (flags & AvailableFlag) != 0, isUsed = (flags & UsedFlag) != 0;
        used = default;
        if (available != isUsed || isUsed != _takenWrap)
            return false;
        used = new Used(Unsafe.Read<ushort>(at + 12), Unsafe.Read<uint>(at + 8));
        if (used.Id >= _lengths.Length)
        {
            Advance(ref _taken, ref _takenWrap, 1); // the hostile give such ids, for one descriptor
            return true;
        }

        if (_lengths[used.Id] == 0)
            throw new FailedException($"the device used a buffer with id {used.Id}, which it was not given");
        Advance(ref _taken, ref _takenWrap, _lengths[used.Id]);
        _lengths[used.Id] = 0;
        return true;
    }

    private static uint Half(int index, bool wrap) => (uint)index | (wrap ? 0x8000u : 0);

    private static void Write(byte* at, ulong address, uint length, ushort id)
    {
        Unsafe.Write(at, address);
        Unsafe.Write(at + 8, length);
        Unsafe.Write(at + 12, id);
    }

    private void Advance(ref int index, ref bool wrap, int by)
    {
        index += by;
        if (index < Size)
            return;
        index -= Size;
        wrap = !wrap;
    }

    private byte* Slot(int index) => Ram.Pointer(Start + 16 * (ulong)index);
}
