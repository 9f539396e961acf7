using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Split;
using Xunit;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Both ends of one split ring beside a plain model of it. Every step is checked against the model.</summary>
/// <remarks>
/// <code>
/// Add → added → Publish → offered → Pop → popped → Push → pushed → Publish → used → Get
/// </code>
/// Either end may sleep once it has re-armed and found nothing. From then on the other end's next publication must
/// notify it: a sleeper that is not notified of work is a lost notification.
/// </remarks>
internal sealed class RingPair : IDisposable
{
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
    private readonly bool _indirect;
    private SplitDriverRing _driver;
    private SplitDeviceRing _device;
    private GuestMemory _memory;
    private ChainSegments _segments;
    private int _free;
    private bool _deviceSleeps;
    private bool _driverSleeps;

    public RingPair(int size, bool indirect, bool eventIdx, int seed)
    {
        _name = $"size {size}, indirect {indirect}, event index {eventIdx}, seed {seed}";
        (_size, _indirect, _random, _free) = (size, indirect, new Random(seed), size);
        _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 16);
        var options = new QueueOptions(indirect, eventIdx, NotifyOnEmpty: false);
        _driver = SplitDriverRing.Create(size, _arena, options);
        _memory = new GuestMemory(MemoryMap.Create([_arena.Region]));
        _device = SplitDeviceRing.Attach(_driver.Layout, ref _memory, options, default);
        _segments = new ChainSegments(64);
        _readable = Buffers();
        _writable = Buffers();

        DmaBuffer[] Buffers() => [.. Enumerable.Range(1, 8).Select(length => _arena.Allocate(length, 1))];
    }

    public long Completed { get; private set; }

    public long Notifications { get; private set; }

    private sealed record Chain(ushort Id, int Descriptors, int ReadFrom, int Readable, int WriteFrom, int Writable)
    {
        public uint Room => (uint)Enumerable.Range(WriteFrom + 1, Writable).Sum();

        public uint Length { get; set; }
    }

    public void Step()
    {
        switch (_random.Next(10))
        {
            case 0 or 1 or 2: Add(); break;
            case 3 or 4: Offer(); break;
            case 5: Serve(); break;
            case 6: Push(); break;
            case 7: PublishUsed(); break;
            case 8: Collect(); break;
            default: Sleep(); break;
        }
    }

    public void Dispose() => _arena.Dispose();

    private void Add()
    {
        int readable = _random.Next(4), writable = _random.Next(readable == 0 ? 1 : 0, 4);
        int readFrom = _random.Next(8 - readable), writeFrom = _random.Next(8 - writable);
        int needed = _indirect && readable + writable > 1 ? 1 : readable + writable;

        bool fits = _driver.TryAdd(_readable.AsSpan(readFrom, readable), _writable.AsSpan(writeFrom, writable), out ushort id);

        Check(fits == needed <= _free, "a chain is added exactly when it fits");
        if (!fits)
            return;
        _free -= needed;
        Check(_driver.Free == _free, "the ring knows what is free");
        _added.Enqueue(new Chain(id, needed, readFrom, readable, writeFrom, writable));
    }

    private void Offer()
    {
        bool any = _added.Count > 0;
        while (_added.TryDequeue(out Chain? chain))
            _offered.Enqueue(chain);

        bool notify = _driver.Publish();

        Check(any || !notify, "no notification without a new chain");
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
            if (!_device.TryPop(ref _memory, ref _segments, out ushort head))
                return;
            if (_random.Next(8) == 0)
            {
                _device.UndoPop();
                return;
            }

            Chain expected = _offered.Dequeue();
            Check(head == expected.Id, "chains come in the order in which they were added");
            CheckSegments(expected);
            _popped.Add(expected);
        }
    }

    private void Push()
    {
        if (_popped.Count == 0)
            return;
        Chain chain = _popped[_random.Next(_popped.Count)]; // in any order
        _popped.Remove(chain);
        uint written = (uint)_random.Next(40);
        chain.Length = Math.Min(written, chain.Room);
        _device.Push(chain.Id, written);
        _pushed.Enqueue(chain);
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
            _free += expected.Descriptors;
            Check(_driver.Free == _free, "a used chain is free again");
            Completed++;
        }
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
