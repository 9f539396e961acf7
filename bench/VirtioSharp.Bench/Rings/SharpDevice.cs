using System.Runtime.CompilerServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Bench.Rings;

/// <summary>The device end in C#, run as Reference/measure.h and talk.h run the one in C.</summary>
internal sealed unsafe class SharpDevice<TRing> : ITalkingDevice
    where TRing : struct, IDeviceRing<TRing>
{
    private GuestMemory _memory;
#pragma warning disable IDE0044 // TRing is a mutable struct: readonly would call it on copies
    private TRing _ring;
#pragma warning restore IDE0044
    private ChainSegments _segments;
    private ulong _checksum;
    private ulong _sequence;

    public SharpDevice(in QueueLayout layout, MemoryMap map, QueueOptions options)
    {
        _memory = new GuestMemory(map);
        _ring = TRing.Attach(layout, ref _memory, options, default);
        _segments = new ChainSegments(Math.Max(layout.Size, 1024));
    }

    public ulong Checksum => _checksum;

    public ulong Notifications { get; private set; }

    public long Bench(Reference.Refill* refill, long batches, int batch)
    {
        for (long done = 0; done < batches; done++)
        {
            Reference.ref_refill(refill);
            for (int i = 0; i < batch; i++)
            {
                if (!_ring.TryPop(ref _memory, ref _segments, out RingChain chain))
                    return Reference.Full;
                if (_segments.Fault.Kind != ChainFaultKind.None)
                    return Reference.Faulty;
                _ring.Push(chain, Look());
            }

            if (_ring.Publish())
                Notifications++;
        }

        return batches * batch;
    }

    public long Serve(long chains, int batch, bool wait)
    {
        long done = 0;
        for (int waiting = 0; done < chains;)
        {
            if (!_ring.TryPop(ref _memory, ref _segments, out RingChain chain))
            {
                if (waiting > 0)
                    Publish();
                waiting = 0;
                if (wait)
                    continue;
                return done;
            }

            long written = Answer();
            if (written < 0)
                return written;
            _ring.Push(chain, (uint)written);
            done++;
            if (++waiting == batch || done == chains)
            {
                Publish();
                waiting = 0;
            }
        }

        return done;
    }

    private void Publish()
    {
        if (_ring.Publish())
            Notifications++;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)] // as gcc does
    private uint Look()
    {
        ulong sum = 0;
        uint written = 0;
        int readable = _segments.ReadableCount;
        foreach (ref readonly Segment segment in new ReadOnlySpan<Segment>(_segments.Items, readable))
            sum += (ulong)segment.Host + segment.Length;
        foreach (ref readonly Segment segment in new ReadOnlySpan<Segment>(_segments.Items + readable, _segments.Count - readable))
        {
            sum ^= (ulong)segment.Host;
            written += segment.Length;
        }

        _checksum += sum;
        return written;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private long Answer()
    {
        var items = new ReadOnlySpan<Segment>(_segments.Items, _segments.Count);
        if (_segments.Fault.Kind != ChainFaultKind.None || items.Length != 3 || _segments.ReadableCount != 1
            || items[0].Length != 8 || items[1].Length != Reference.TestData || items[2].Length != 1)
            return Reference.Faulty;
        ulong number = *(ulong*)items[0].Host;
        if (number != _sequence)
            return Reference.WrongContent;
        _sequence++;
        *(ulong*)items[1].Host = number * Reference.Magic;
        *items[2].Host = 0;
        return Reference.TestData + 1;
    }

    public void Dispose()
    {
    }
}
