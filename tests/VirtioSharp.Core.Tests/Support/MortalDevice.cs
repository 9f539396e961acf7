using System.Buffers.Binary;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A driver that lives, and devices that die between any two writes and are succeeded by others.</summary>
/// <remarks>
/// At a device's death the bytes of the ring and of the in-flight region stay as they are: what it does while it falls is
/// undone. Each request is a number to read and room for the answer; half of them are held and completed in any order.
/// </remarks>
internal sealed unsafe class MortalDevice : IDisposable
{
    private const int Size = 16;

    private readonly QueueOptions _options;
    private readonly FeatureSet _features;
    private readonly DmaArena _arena;
    private readonly DriverEnd _driver;
    private readonly Random _random;
    private readonly byte[] _region;
    private readonly DmaBuffer[] _numbers;
    private readonly DmaBuffer[] _answers;
    private readonly Dictionary<ushort, int> _requests = [];
    private readonly List<int> _taken = [];      // in the order in which any device took them first
    private readonly HashSet<int> _seen = [];    // whose completion the driver has seen
    private readonly Queue<int> _deaths;
    private Device _device = null!;
    private DeviceQueue _queue = null!;
    private int _writes;
    private byte[]? _arenaAtDeath;
    private byte[]? _regionAtDeath;
    private int _added;

    public MortalDevice(FeatureSet features, int seed, params IEnumerable<int> deaths)
    {
        _features = features;
        _options = QueueOptions.From(features);
        (_random, _deaths) = (new Random(seed), new Queue<int>(deaths));
        _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 14);
        _driver = features.Has(Features.RingPacked)
            ? new DriverEnd<PackedDriverRing>(Size, _arena, _options)
            : new DriverEnd<SplitDriverRing>(Size, _arena, _options);
        _numbers = [.. Enumerable.Range(0, Size).Select(_ => _arena.Allocate(4))];
        _answers = [.. Enumerable.Range(0, Size).Select(_ => _arena.Allocate(8))];
        _region = GC.AllocateArray<byte>(InflightRegion.BytesOf(Size, features.Has(Features.RingPacked)), pinned: true);
        TryLive(ComeAlive);
    }

    /// <summary>Writes at which a device could die, so far.</summary>
    public int Writes { get; private set; }

    /// <summary>Times that one did.</summary>
    public int Deaths { get; private set; }

    public void Dispose() => _arena.Dispose();

    /// <summary>Lives through so many turns, then lets everything finish, and checks that each request completed once.</summary>
    public void Live(int turns)
    {
        for (int turn = 0; turn < turns; turn++)
        {
            switch (_random.Next(6))
            {
                case 0 or 1: Add(); break;
                case 2: Collect(); break;
                case 3: TryLive(() => _device.Finish(_random)); break;
                default: TryLive(() => _queue.Service(4, rearm: true)); break;
            }
        }

        for (int turn = 0; _seen.Count < _added; turn++)
        {
            Assert.True(turn < 100, $"{_added - _seen.Count} of {_added} requests are lost");
            TryLive(() => _queue.Service(256, rearm: true));
            TryLive(() => _device.Finish(_random));
            TryLive(() => _queue.Flush());
            Collect();
        }
    }

    private void Add()
    {
        for (int i = _random.Next(1, 4); i > 0; i--)
        {
            int buffer = Enumerable.Range(0, Size).FirstOrDefault(free => !_requests.Values.Any(number => number % Size == free && !_seen.Contains(number)), -1);
            if (buffer < 0)
                return;
            int number = buffer + Size * _added;
            BinaryPrimitives.WriteInt32LittleEndian(_numbers[buffer].Span, number);
            _answers[buffer].Span.Clear();
            DmaBuffer[] answer = _random.Next(2) == 0 ? [_answers[buffer]] : [_answers[buffer].Slice(0, 4), _answers[buffer].Slice(4, 4)];
            if (!_driver.TryAdd([_numbers[buffer]], answer, out ushort id))
                return;
            _requests[id] = number;
            _added++;
            _driver.Publish();
        }
    }

    private void Collect()
    {
        while (_driver.TryGet(out ushort id, out uint length))
        {
            int number = _requests[id];
            Assert.True(_seen.Add(number), $"request {number} was completed twice");
            Assert.Equal(8u, length);
            Assert.Equal((long)number, BinaryPrimitives.ReadInt64LittleEndian(_answers[number % Size].Span));
        }
    }

    private void TryLive(Action action)
    {
        try
        {
            action();
        }
        catch (Exception) when (_arenaAtDeath is not null)
        {
            Succeed();
        }
    }

    private void Succeed()
    {
        while (_arenaAtDeath is { } arena)
        {
            arena.CopyTo(new Span<byte>((void*)_arena.Region.Host, arena.Length));
            _regionAtDeath.CopyTo(_region.AsSpan());
            (_arenaAtDeath, _regionAtDeath) = (null, null);
            Deaths++;
            Collect(); // what it may see now must not be done again
            try
            {
                ComeAlive();
            }
            catch (DeathException)
            {
                // Again, and before it was at work.
            }
        }
    }

    private void ComeAlive()
    {
        _device = new Device(this);
        var line = new RecordingLine();
        var slot = new QueueSlot(0, _device.Traits.Queues[0], _device, line, line, new RecordingObserver())
        {
            Inflight = new InflightRegion((nint)System.Runtime.CompilerServices.Unsafe.AsPointer(ref _region[0]), Size) { AfterWrite = AfterWrite },
        };

        // As QEMU tells it: a split ring's used index, and for a packed ring where it started.
        QueueSnapshot at = _features.Has(Features.RingPacked) ? default : new(new RawRing(_arena, _driver.Layout).UsedIndex);
        _queue = RingFormat.Attach(slot, _driver.Layout, new GuestMemory(MemoryMap.Create([_arena.Region])), null, _features, at);
        slot.Put(_queue);
        _device.Owed = _queue.Owed;
    }

    private void AfterWrite()
    {
        Writes++;
        if (_arenaAtDeath is null && _deaths.TryPeek(out int death) && ++_writes == death)
        {
            _deaths.Dequeue();
            _writes = 0;
            _arenaAtDeath = new Span<byte>((void*)_arena.Region.Host, (int)_arena.Region.Length).ToArray();
            _regionAtDeath = [.. _region];
        }

        if (_arenaAtDeath is not null)
            throw new DeathException();
    }

    private sealed class DeathException : Exception;

    private sealed class Device(MortalDevice world) : VirtioDevice
    {
        private readonly List<(PendingChain Chain, int Number)> _held = [];
        private int _lastOwed = -1;

        public int Owed { get; set; }

        public override DeviceTraits Traits { get; } = new(DeviceId.Block, Features.None, new QueueTraits("request", Size));

        public override void OnChain(int queue, scoped ref DeviceChain chain)
        {
            Span<byte> bytes = stackalloc byte[4];
            chain.ReadExactly(bytes);
            int number = BinaryPrimitives.ReadInt32LittleEndian(bytes);
            int order = world._taken.IndexOf(number);
            if (order < 0)
            {
                order = world._taken.Count;
                world._taken.Add(number);
            }

            Assert.DoesNotContain(number, world._seen);
            int fate = world._random.Next(6);
            if (fate == 0)
            {
                chain.Postpone();
                return;
            }

            if (Owed-- > 0)
            {
                Assert.True(order > _lastOwed, $"request {number} is served again out of turn");
                _lastOwed = order;
            }

            if (fate < 3)
                _held.Add((chain.Hold(), number));
            else
                Answer(ref chain, number);
        }

        /// <summary>Completes some of what is held, in any order.</summary>
        public void Finish(Random random)
        {
            for (int left = random.Next(_held.Count + 1); left > 0; left--)
            {
                (PendingChain held, int number) = _held[random.Next(_held.Count)];
                _held.Remove((held, number));
                DeviceChain chain = held.Open();
                Answer(ref chain, number);
                held.Complete(chain.Written);
            }

            world._queue.Flush();
        }

        private static void Answer(scoped ref DeviceChain chain, int number)
        {
            Span<byte> answer = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(answer, number);
            chain.Write(answer);
        }
    }
}
