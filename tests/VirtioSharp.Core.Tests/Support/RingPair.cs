using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Spec.Packed;
using Xunit;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Both ends of one ring, of either format, beside a plain model of it. Every step is checked against the model.</summary>
/// <remarks>
/// <code>
/// Add → added → Publish → offered → Pop → popped → Push → pushed → Publish → used → Get
/// </code>
/// Either end may sleep once it has re-armed and found nothing. From then on the other end's next publication must
/// notify it: a sleeper that is not notified of work is a lost notification. With IN_ORDER the device end uses one
/// element for several chains. Whenever the device holds nothing, it may go and come back by its snapshot; and at any time
/// it may die, and another one, that knows nothing of it, takes its place where the driver says.
/// </remarks>
internal sealed class RingPair<TDriver, TDevice> : IDisposable
    where TDriver : struct, IDriverRing<TDriver>
    where TDevice : struct, IDeviceRing<TDevice>
{
    private static readonly bool Packed = typeof(TDevice) == typeof(PackedDeviceRing);

    private readonly DmaArena _arena;
    private readonly DmaBuffer[] _readable;
    private readonly DmaBuffer[] _writable;
    private readonly int _size;
    private readonly Random _random;
    private readonly string _name;
    private readonly Queue<Chain> _added = new();
    private readonly Queue<Chain> _offered = new();
    private readonly List<Chain> _popped = [];
    private readonly Queue<Chain> _pushed = new();
    private readonly Queue<Chain> _used = new();
    private readonly QueueOptions _options;
#pragma warning disable IDE0044 // a mutable struct behind a type parameter: readonly would call it on copies
    private TDriver _driver;
#pragma warning restore IDE0044
    private TDevice _device;
    private GuestMemory _memory;
    private ChainSegments _segments;
    private int _free;
    private long _chainsAdded;
    private long _slotsAdded;
    private long _newestPushed = -1;
    private bool _deviceSleeps;
    private bool _driverSleeps;

    public RingPair(int size, QueueOptions options, int seed)
    {
        _name = $"{typeof(TDriver).Name}, size {size}, {options}, seed {seed}";
        (_size, _options, _random, _free) = (size, options, new Random(seed), size);
        _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 16);
        _driver = TDriver.Create(size, _arena, options);
        _memory = new GuestMemory(MemoryMap.Create([_arena.Region]));
        _device = TDevice.Attach(_driver.Layout, ref _memory, options, default);
        _segments = new ChainSegments(64);
        _readable = Buffers();
        _writable = Buffers();

        DmaBuffer[] Buffers() => [.. Enumerable.Range(1, 8).Select(length => _arena.Allocate(length, 1))];
    }

    public long Completed { get; private set; }

    public long Notifications { get; private set; }

    public long Returns { get; private set; }

    public long Deaths { get; private set; }

    private sealed class Chain(long number, ushort id, int slots, int readFrom, int readable, int writeFrom, int writable)
    {
        public long Number => number;

        public ushort Id => id;

        public int Slots => slots;

        public int ReadFrom => readFrom;

        public int Readable => readable;

        public int WriteFrom => writeFrom;

        public int Writable => writable;

        /// <summary>Buffer i has i + 1 bytes.</summary>
        public uint Room => (uint)(writable * (2 * writeFrom + writable + 1) / 2);

        public uint Length { get; set; }

        /// <summary>What the device's ring calls it.</summary>
        public RingChain Ring { get; set; }
    }

    public void Step()
    {
        switch (_random.Next(31) switch { 30 => -1, 29 => -2, _ => _random.Next(10) })
        {
            case 0 or 1 or 2: Add(); break;
            case 3 or 4: Offer(); break;
            case 5: Serve(); break;
            case 6: Push(); break;
            case 7: PublishUsed(); break;
            case 8: Collect(); break;
            case -1: Return(); break;
            case -2: Die(); break;
            default: Sleep(); break;
        }
    }

    public void Dispose() => _arena.Dispose();

    private void Add()
    {
        int readable = _random.Next(4), writable = _random.Next(readable == 0 ? 1 : 0, 4);
        int readFrom = _random.Next(8 - readable), writeFrom = _random.Next(8 - writable);
        int needed = _options.Indirect && readable + writable > 1 ? 1 : readable + writable;

        bool fits = _driver.TryAdd(_readable.AsSpan(readFrom, readable), _writable.AsSpan(writeFrom, writable), out ushort id);

        Check(fits == needed <= _free, "a chain is added exactly when it fits");
        if (!fits)
            return;
        _free -= needed;
        Check(_driver.Free == _free, "the ring knows what is free");
        Check(Packed || !_options.InOrder || id == _slotsAdded % _size, "IN_ORDER: descriptors are used in ring order (§2.7.5)");
        _added.Enqueue(new Chain(_chainsAdded, id, needed, readFrom, readable, writeFrom, writable));
        (_chainsAdded, _slotsAdded) = (_chainsAdded + 1, _slotsAdded + needed);
    }

    private void Offer()
    {
        bool any = _added.Count > 0;
        while (_added.TryDequeue(out Chain? chain))
            _offered.Enqueue(chain);

        bool notify = _driver.Publish();

        Check(any || !notify, "no notification without a new chain");
        Check(_driver.NotificationPosition == Position, "NOTIFICATION_DATA tells where the next chain will be");
        Check(!any || !_deviceSleeps || notify, "a sleeping device is notified");
        if (notify)
        {
            Notifications++;
            _deviceSleeps = false;
        }
    }

    /// <summary>The device, awake, takes some chains, whether it was notified of them or looks by itself.</summary>
    private void Serve()
    {
        if (_deviceSleeps)
            return;
        _device.SuppressNotifications();
        for (int budget = _random.Next(1, _size + 1); budget > 0; budget--)
        {
            Check(_device.HasAvailable() == _offered.Count > 0, "the device sees what was published, and no more");
            if (!_device.TryPop(ref _memory, ref _segments, out RingChain chain))
                return;
            if (_random.Next(8) == 0)
            {
                _device.UndoPop(chain);
                return;
            }

            Chain expected = _offered.Dequeue();
            Check(chain.Id == expected.Id, "chains come in the order in which they were added");
            CheckSegments(expected);
            expected.Ring = chain;
            _popped.Add(expected);
        }
    }

    private void Push()
    {
        if (_popped.Count == 0)
            return;
        if (_options.InOrder)
        {
            PushBatch(_popped[.._random.Next(1, _popped.Count + 1)]);
            return;
        }

        int any = _random.Next(_popped.Count);
        Chain chain = _popped[any];
        _popped.RemoveAt(any);
        uint written = (uint)_random.Next(40);
        chain.Length = Math.Min(written, chain.Room);
        _device.Push(chain.Ring, written);
        _newestPushed = Math.Max(_newestPushed, chain.Number);
        _pushed.Enqueue(chain);
    }

    /// <summary>Uses the oldest chains with one element that names the last of them (§2.7.9, §2.8.8).</summary>
    private void PushBatch(List<Chain> batch)
    {
        Chain last = batch[^1];
        uint written = (uint)_random.Next(40);
        if (Packed)
            _device.Push(new RingChain(last.Id, (ushort)batch.Sum(chain => chain.Slots)), written);
        else
            _device.Push(last.Ring, written);
        foreach (Chain chain in batch)
        {
            chain.Length = chain == last ? Math.Min(written, chain.Room) : chain.Room; // what is skipped counts as full
            if (!Packed && chain != last)
                _device.Push(new RingChain(ushort.MaxValue, 0), 0xBAD); // moves the index; the driver must not look at it
            _newestPushed = chain.Number;
            _pushed.Enqueue(chain);
        }

        _popped.RemoveRange(0, batch.Count);
    }

    private void PublishUsed()
    {
        bool any = _pushed.Count > 0;
        while (_pushed.TryDequeue(out Chain? chain))
            _used.Enqueue(chain);

        bool notify = _device.Publish();

        Check(any || !notify, "no interrupt without a used chain");
        Check(!any || !_driverSleeps || notify, "a sleeping driver is interrupted");
        if (notify)
        {
            Notifications++;
            _driverSleeps = false;
        }
    }

    private void Collect()
    {
        if (_driverSleeps)
            return;
        _driver.SuppressInterrupts();
        for (int budget = _random.Next(1, _size + 1); budget > 0; budget--)
        {
            bool found = _driver.TryGet(out ushort id, out uint length);
            Check(found == _used.Count > 0, "the driver sees what was used, and no more");
            if (!found)
                return;
            Chain expected = _used.Dequeue();
            Check(id == expected.Id && length == expected.Length, "a used chain comes with its length, cut to its room");
            _free += expected.Slots;
            Check(_driver.Free == _free, "a used chain is free again");
            Completed++;
        }
    }

    /// <summary>Where the next chain will be made available, as NOTIFICATION_DATA has it (§2.9).</summary>
    private ushort Position => Packed
        ? PackedLayout.EventPosition((int)(_slotsAdded % _size), _slotsAdded / _size % 2 == 0)
        : (ushort)_chainsAdded;

    /// <summary>The device goes, and another takes its place from the snapshot, which went over the wire as a vring base.</summary>
    private void Return()
    {
        if (_popped.Count > 0 || _pushed.Count > 0)
            return;
        QueueSnapshot at = _device.Snapshot;
        var told = QueueSnapshot.FromVringBase(at.ToVringBase(Packed), Packed);
        Check(told == at, "a vring base is the whole snapshot");
        _device = TDevice.Attach(_driver.Layout, ref _memory, _options, told);
        _deviceSleeps = false; // it looks before it sleeps
        Returns++;
    }

    /// <summary>The device dies with all that it has taken and not shown as used; the next one finds it in the ring once more.</summary>
    private void Die()
    {
        if (Packed)
            PublishUsed(); // what it has written and not shown cannot be told from what it has not touched
        if (Packed && _popped.Exists(chain => chain.Number < _newestPushed))
        {
            Assert.Throws<QueueException>(() => _driver.ResumeAt(isTracked: false)); // overtaken, and written over
            return;
        }

        QueueSnapshot at = _driver.ResumeAt(isTracked: false);
        List<Chain> again = [.. _popped.Concat(_pushed).Concat(_offered).OrderBy(chain => chain.Number)];
        _popped.Clear();
        _pushed.Clear();
        _offered.Clear();
        again.ForEach(_offered.Enqueue);
        _device = TDevice.Attach(_driver.Layout, ref _memory, _options, at);
        (_deviceSleeps, _driverSleeps) = (false, false); // both are told to look
        Deaths++;
    }

    private void Sleep()
    {
        if (_random.Next(2) == 0 && !_deviceSleeps)
        {
            bool more = _device.RearmNotifications();
            Check(more == _offered.Count > 0, "the device sleeps only when nothing is available");
            _deviceSleeps = !more;
        }
        else if (!_driverSleeps)
        {
            bool more = _driver.RearmInterrupts();
            Check(more == _used.Count > 0, "the driver sleeps only when nothing is used");
            _driverSleeps = !more;
        }
    }

    private unsafe void CheckSegments(Chain expected)
    {
        Check(_segments.Fault.Kind == ChainFaultKind.None, "the chain is in order");
        Check(_segments.Count == expected.Readable + expected.Writable && _segments.ReadableCount == expected.Readable, "the chain has its buffers");
        for (int i = 0; i < _segments.Count; i++)
        {
            DmaBuffer buffer = i < expected.Readable
                ? _readable[expected.ReadFrom + i]
                : _writable[expected.WriteFrom + i - expected.Readable];
            Check(_segments.Items[i].Host == buffer.Host && _segments.Items[i].Length == buffer.Length, "each buffer is the one that was added");
        }
    }

    private void Check(bool holds, string rule)
    {
        if (!holds)
            Assert.Fail($"{rule}: broken after {Completed} chains ({_name})");
    }
}
