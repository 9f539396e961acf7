using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Bench.Rings;

/// <summary>The driver end in C#, run as Reference/measure.h and talk.h run the one in C.</summary>
internal sealed unsafe class SharpDriver<TRing> : ITalkingDriver
    where TRing : struct, IDriverRing<TRing>
{
#pragma warning disable IDE0044 // TRing is a mutable struct: readonly would call it on copies
    private TRing _ring;
#pragma warning restore IDE0044
    private readonly DmaBuffer[] _buffers; // pinned, so that sets can be picked by pointer, as C does
    private readonly DmaBuffer* _first;
    private readonly ulong[] _tokens;
    private ulong _sequence;
    private ulong _answered;

    /// <param name="size">Entries of the ring.</param>
    /// <param name="arena">Where the ring is laid out.</param>
    /// <param name="options">What was negotiated.</param>
    /// <param name="buffers">Sets of three.</param>
    public SharpDriver(int size, DmaArena arena, QueueOptions options, DmaBuffer[] buffers)
    {
        _ring = TRing.Create(size, arena, options);
        _buffers = GC.AllocateArray<DmaBuffer>(buffers.Length, pinned: true);
        buffers.CopyTo(_buffers, 0);
        fixed (DmaBuffer* first = _buffers)
            _first = first;
        _tokens = new ulong[size];
    }

    public QueueLayout Layout => _ring.Layout;

    public ulong Checksum { get; private set; }

    public ulong Notifications { get; private set; }

    public long Bench(nint nullDevice, int readable, int count, long batches, int batch)
    {
        for (long done = 0; done < batches; done++)
        {
            for (int i = 0; i < batch; i++)
            {
                DmaBuffer* set = _first + i * count;
                if (!_ring.TryAdd(new(set, readable), new(set + readable, count - readable), out _))
                    return Reference.Full;
            }

            Publish();
            Reference.ref_null_device_use(nullDevice);
            ulong sum = 0;
            for (int i = 0; i < batch; i++)
            {
                if (!_ring.TryGet(out ushort id, out uint length))
                    return Reference.Full;
                sum += length ^ id;
            }

            Checksum += sum;
        }

        return batches * batch;
    }

    public long Drive(long chains, int depth)
    {
        ulong end = _answered + (ulong)chains;
        while (_answered < end)
        {
            while (_sequence < end && _sequence - _answered < (ulong)depth && TrySubmit())
                Publish();
            long got = TryCollect();
            if (got < 0)
                return got;
        }

        return chains;
    }

    public int Submit(int chains)
    {
        int done = 0;
        while (done < chains && TrySubmit())
            done++;
        Publish();
        return done;
    }

    public long Collect()
    {
        for (long done = 0; ; done++)
        {
            long got = TryCollect();
            if (got <= 0)
                return got < 0 ? got : done;
        }
    }

    private bool TrySubmit()
    {
        if (_sequence - _answered == Reference.TestSlots)
            return false;
        DmaBuffer* set = SetOf(_sequence);
        *(ulong*)set[0].Host = _sequence;
        *(ulong*)set[1].Host = 0;
        *set[2].Host = 0xFF;
        if (!_ring.TryAdd(new(set, 1), new(set + 1, 2), out ushort id))
            return false;
        _tokens[id] = _sequence++;
        return true;
    }

    private long TryCollect()
    {
        if (!_ring.TryGet(out ushort id, out uint length))
            return 0;
        ulong token = _tokens[id];
        DmaBuffer* set = SetOf(token);
        if (token != _answered || *(ulong*)set[1].Host != token * Reference.Magic || *set[2].Host != 0 || length != Reference.TestData + 1)
            return Reference.WrongContent;
        _answered++;
        return 1;
    }

    private DmaBuffer* SetOf(ulong number) => _first + number % Reference.TestSlots * 3;

    private void Publish()
    {
        if (_ring.Publish())
            Notifications++;
    }

    public void Dispose()
    {
    }
}
