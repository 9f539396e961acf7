using System.Diagnostics;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A driver and a device on two threads and one ring. Each sleeps only after it has armed and found nothing.</summary>
/// <remarks>
/// A sleeper is woken by a notification and by nothing else. When both sleep and no notification is on its way,
/// one was lost: that is certain, no clock decides it. At most <see cref="Depth"/> chains are in flight, so that both
/// ends come to the point of sleeping all the time.
/// </remarks>
internal sealed class Litmus<TDriver, TDevice> : IDisposable
    where TDriver : struct, IDriverRing<TDriver>
    where TDevice : struct, IDeviceRing<TDevice>
{
    private const int Depth = 2;

    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 16);
    private readonly Sleeper _driverSleep = new();
    private readonly Sleeper _deviceSleep = new();
    private readonly QueueOptions _options;
    private readonly TimeSpan _duration;
    private readonly int _depth;
    private readonly TDriver _driver;
    private bool _stop;

    public Litmus(int size, QueueOptions options, TimeSpan duration)
    {
        (_options, _duration, _depth) = (options, duration, Math.Min(size, Depth));
        _driver = TDriver.Create(size, _arena, options);
        _deviceSleep.Other = _driverSleep;
        _driverSleep.Other = _deviceSleep;
    }

    /// <summary>Chains that came back.</summary>
    public long Rounds { get; private set; }

    /// <summary>Times an end slept and was woken.</summary>
    public long Sleeps => _driverSleep.Count + _deviceSleep.Count;

    /// <summary>Runs until the time is over or a notification is lost; true when one was.</summary>
    public bool LosesNotification()
    {
        Exception? failure = null;
        // Threads of their own, because they stay bound to their processors.
        var device = new Thread(() => failure = Guard(1, RunDevice) ?? failure) { IsBackground = true };
        var driver = new Thread(() => failure = Guard(0, RunDriver) ?? failure) { IsBackground = true };
        device.Start();
        driver.Start();
        driver.Join();
        Volatile.Write(ref _stop, true);
        if (!device.Join(TimeSpan.FromSeconds(30)))
            throw new TimeoutException("the device's thread does not end");
        return failure is null ? _driverSleep.IsLost || _deviceSleep.IsLost : throw new InvalidOperationException("an end failed", failure);
    }

    public void Dispose() => _arena.Dispose();

    private Exception? Guard(int processor, Action run)
    {
        try
        {
            Processors.Take(processor);
            run();
            return null;
        }
        catch (Exception failure)
        {
            Volatile.Write(ref _stop, true);
            return failure;
        }
    }

    private void RunDriver()
    {
        DmaBuffer[] room = [_arena.Allocate(16)];
        TDriver ring = _driver;
        long start = Stopwatch.GetTimestamp();
        var busy = new Busyness(1);
        int inFlight = 0;
        while (!Volatile.Read(ref _stop))
        {
            while (inFlight < _depth && ring.TryAdd([], room, out _))
                inFlight++;
            busy.Go();
            if (ring.Publish())
                _deviceSleep.Wake();

            ring.SuppressInterrupts();
            bool any = false;
            for (; ring.TryGet(out _, out _); any = true)
            {
                inFlight--;
                Rounds++;
            }

            if (any)
                continue;
            busy.Go();
            if (!ring.RearmInterrupts() && !_driverSleep.Sleep(ref _stop))
                return;
            if (Rounds % 64 == 0 && Stopwatch.GetElapsedTime(start) > _duration)
                return;
        }
    }

    private void RunDevice()
    {
        var memory = new GuestMemory(MemoryMap.Create([_arena.Region]));
        TDevice ring = TDevice.Attach(_driver.Layout, ref memory, _options, default);
        var segments = new ChainSegments(16);
        var busy = new Busyness(7);
        while (!Volatile.Read(ref _stop))
        {
            ring.SuppressNotifications();
            bool any = false;
            for (; ring.TryPop(ref memory, ref segments, out RingChain chain); any = true)
                ring.Push(chain, 1);
            busy.Go();
            if (any && ring.Publish())
                _driverSleep.Wake();

            busy.Go();
            if (!ring.RearmNotifications() && !_deviceSleep.Sleep(ref _stop))
                return;
        }
    }

    /// <summary>What an end does beside its ring: it takes a while, and writes to memory that is in no cache.</summary>
    /// <remarks>The first moves the two ends against each other. The second fills the store buffer, so that the store after it is late.</remarks>
    private struct Busyness(uint seed)
    {
        private const int Stores = 16;

        private readonly byte[] _memory = new byte[32 << 20];
        private uint _jitter = seed;

        public void Go()
        {
            _jitter ^= _jitter << 13;
            _jitter ^= _jitter >> 17;
            _jitter ^= _jitter << 5;
            if ((_jitter & 3) == 0)
                Thread.SpinWait((int)(_jitter >> 27));
            for (uint i = 0; i < Stores; i++)
                _memory[(_jitter + i * 0x9E37_79B1) % (uint)_memory.Length] = 1;
        }
    }

    /// <summary>Where one end sleeps.</summary>
    private sealed class Sleeper
    {
        private readonly long[] _padding = new long[16];
        private int _asleep;
        private int _woken;

        public Sleeper Other { get; set; } = null!;

        public long Count { get; private set; }

        public bool IsLost { get; private set; }

        public void Wake() => Volatile.Write(ref _woken, 1);

        /// <summary>Sleeps until woken. False when it is over: stopped, or nobody can wake it any more.</summary>
        public bool Sleep(ref bool stop)
        {
            Count++;
            Interlocked.Exchange(ref _asleep, 1);
            for (int turns = 1; Volatile.Read(ref _woken) == 0; turns++)
            {
                if (Volatile.Read(ref stop))
                    return false;
                if (turns % 32 == 0 && NobodyIsAwake())
                {
                    IsLost = true;
                    return false;
                }

                if (turns % 16384 == 0)
                    Thread.Yield(); // there may be one processor only; where it is busy, this costs a time slice
            }

            // In this order: whoever sees that we sleep and are not woken is right.
            Interlocked.Exchange(ref _asleep, 0);
            Interlocked.Exchange(ref _woken, 0);
            _padding[0]++;
            return true;
        }

        private bool NobodyIsAwake() =>
            Volatile.Read(ref Other._asleep) == 1 && Volatile.Read(ref Other._woken) == 0
            && Volatile.Read(ref Other._asleep) == 1 && Volatile.Read(ref _woken) == 0; // ours last: it may have woken us and slept again
    }
}
