using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Garbage from a device: a driver's ring gives out what is in flight, each chain once and cut to its room, or says that the queue is broken.</summary>
[Proves("Hostile device", "in process")]
public sealed class GarbageDeviceTests
{
    private const int Rings = 10_000;

    private readonly int _seed = Environment.TickCount;
    private readonly Random _random;
    private int _got;
    private int _broken;

    public GarbageDeviceTests() => _random = new Random(_seed);

    [Fact]
    [Proves("Split ring", "in process")]
    public void Ten_thousand_split_rings_of_garbage_break_or_give_out_what_is_in_flight() =>
        Run(() => 1 << _random.Next(5), (size, arena, options) => new DriverEnd<SplitDriverRing>(size, arena, options), (arena, layout) =>
        {
            var raw = new RawRing(arena, layout);
            Scribble(raw.DescriptorBytes);
            Scribble(raw.DriverBytes);
            Scribble(raw.DeviceBytes);
            if (_random.Next(8) == 0)
                return;
            raw.UsedIndex = 0;
            for (int left = _random.Next(layout.Size + 2); left > 0; left--)
                raw.Use(Id(layout.Size), Length());
        });

    [Fact]
    [Proves("Packed ring", "in process")]
    public void Ten_thousand_packed_rings_of_garbage_break_or_give_out_what_is_in_flight() =>
        Run(() => _random.Next(1, 17), (size, arena, options) => new DriverEnd<PackedDriverRing>(size, arena, options), (arena, layout) =>
        {
            var raw = new RawPackedRing(arena, layout);
            Scribble(raw.DescriptorBytes);
            Scribble(raw.DriverBytes);
            Scribble(raw.DeviceBytes);
            if (_random.Next(8) == 0)
                return;
            for (int at = 0; at < layout.Size; at++)
                raw[at] = new PackedDescriptor(0, Length(), (ushort)Id(layout.Size), PackedLayout.UsedFlags(wrapCounter: _random.Next(8) != 0) | (DescriptorFlags)_random.Next(8));
        });

    private void Run(Func<int> size, Func<int, DmaArena, QueueOptions, DriverEnd> create, Action<DmaArena, QueueLayout> spoil)
    {
        for (int i = 0; i < Rings; i++)
        {
            using DmaArena arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 14);
            var options = new QueueOptions(Indirect: _random.Next(2) == 0, EventIdx: _random.Next(2) == 0, InOrder: _random.Next(2) == 0);
            DriverEnd ring = create(size(), arena, options);
            DmaBuffer[] buffers = [.. Enumerable.Range(1, 3).Select(n => arena.Allocate(8 * n, 8))];
            var inFlight = new Dictionary<ushort, uint>();
            for (int round = 0; round < 3; round++)
            {
                Add(ring, buffers, inFlight);
                spoil(arena, ring.Layout);
                if (!Collect(ring, inFlight, $"seed {_seed}, ring {i}, {options}"))
                    break;
            }
        }

        Assert.True(_got > Rings / 4 && _broken > Rings / 4, $"seed {_seed}: {_got} chains, {_broken} broken: the garbage is too dull");
    }

    private void Add(DriverEnd ring, DmaBuffer[] buffers, Dictionary<ushort, uint> inFlight)
    {
        for (int left = _random.Next(8); left > 0; left--)
        {
            int readable = _random.Next(2), writable = _random.Next(1 - readable, 3);
            if (ring.TryAdd(buffers.AsSpan(0, readable), buffers.AsSpan(0, writable), out ushort id))
                inFlight.Add(id, writable switch { 0 => 0, 1 => 8, _ => 24 }); // throws when an id is given twice
            if (_random.Next(2) == 0)
                ring.Publish();
        }

        ring.Publish();
    }

    /// <summary>Takes all there is. False when the ring is broken.</summary>
    private bool Collect(DriverEnd ring, Dictionary<ushort, uint> inFlight, string where)
    {
        try
        {
            for (int left = inFlight.Count + 1; ; left--)
            {
                ring.SuppressInterrupts();
                if (!ring.TryGet(out ushort id, out uint length))
                    break;
                Assert.True(left > 0, $"{where}: more comes out than went in");
                Assert.True(inFlight.Remove(id, out uint room), $"{where}: chain {id} is not in flight");
                Assert.True(length <= room, $"{where}: {length} bytes in a chain of {room}");
                _got++;
                ring.RearmInterrupts();
            }

            return true;
        }
        catch (QueueException)
        {
            _broken++;
            return false;
        }
    }

    private void Scribble(Span<byte> bytes)
    {
        if (_random.Next(2) == 0)
            _random.NextBytes(bytes);
    }

    private uint Id(int size) => _random.Next(16) == 0 ? (uint)_random.Next(0x1_0000) : (uint)_random.Next(Math.Min(size, 4));

    private uint Length() => _random.Next(2) == 0 ? (uint)_random.Next(32) : (uint)_random.NextInt64(1L << 32);
}
