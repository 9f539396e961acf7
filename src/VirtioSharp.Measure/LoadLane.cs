using System.Diagnostics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Measure;

/// <summary>One queue's share of a load, in its thread: answers are counted, and each is followed by the next request.</summary>
internal sealed class LoadLane
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100);
    private const int LooksBetween = 1000; // of a lane that polls, until it looks whether it is to end

    private readonly BlockLane _lane;
    private readonly BlockLoadOptions _options;
    private readonly LoadWindow _window;
    private readonly LoadRange _range;
    private readonly DmaBuffer[] _buffers;
    private readonly int[] _bufferOf; // by slot
    private readonly long[] _since; // by slot: when its request was submitted
    private ulong _random;
    private long _next; // of sequential requests
    private Exception? _failure;
    private volatile bool _isFinished;

    public LoadLane(BlockDriver driver, DmaArena arena, int queue, BlockLoadOptions options, LoadRange range, LoadWindow window)
    {
        (_lane, _options, _window, _range) = (driver.Lane(queue), options, window, range);
        (_bufferOf, _since) = (new int[driver.MaxInFlight], new long[driver.MaxInFlight]);
        _buffers = [.. Enumerable.Range(0, options.Depth).Select(_ => arena.Allocate(options.BlockBytes, 4096))];
        foreach (DmaBuffer buffer in _buffers) // no store has a short way for it, as there is for zeroes
            new Random(queue).NextBytes(buffer.Span);
        _random = (ulong)queue << 32;
        _next = range.Blocks * queue / options.Queues; // each in a part of its own
    }

    /// <summary>Of reads that succeeded.</summary>
    public LatencyHistogram Reads { get; private set; } = new();

    /// <summary>Of writes that succeeded.</summary>
    public LatencyHistogram Writes { get; private set; } = new();

    /// <summary>Of the reads, those that were answered when the window had closed: their latency counts all the same, or the worst would be missing.</summary>
    public long LateReads { get; private set; }

    /// <summary>The same of the writes.</summary>
    public long LateWrites { get; private set; }

    public long ReadErrors { get; private set; }

    public long WriteErrors { get; private set; }

    public BlockResult? FirstError { get; private set; }

    /// <summary>Answers since the run began, counted or not.</summary>
    public long Done { get; private set; }

    /// <summary>What the thread allocated while it ran.</summary>
    public long AllocatedBytes { get; private set; }

    public int InFlight => _lane.InFlight;

    public bool IsFinished => _isFinished;

    /// <summary>Forgets the run before.</summary>
    public void Clear()
    {
        (Reads, Writes) = (new(), new());
        (LateReads, LateWrites, ReadErrors, WriteErrors, FirstError, Done, _failure, _isFinished) = (0, 0, 0, 0, null, 0, null, false);
    }

    public void ThrowIfFailed()
    {
        if (_isFinished && _failure is { } failure)
            throw failure;
    }

    /// <summary>Until the window closes.</summary>
    public void Run()
    {
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            for (int buffer = 0; buffer < _buffers.Length; buffer++)
                Submit(buffer, Stopwatch.GetTimestamp());
            while (_lane.InFlight > 0 && _window.Phase != LoadPhase.Abandon)
                ServeOnce();
        }
        catch (Exception failed) when (failed is QueueException or DeviceException or TransportException or LinuxException or ArgumentException)
        {
            _failure = failed; // told by the thread that watches
        }

        AllocatedBytes = GC.GetAllocatedBytesForCurrentThread() - allocated;
        _isFinished = true;
        _window.Changed.Set();
    }

    /// <summary>Takes what is there, once there is something, and asks as much again.</summary>
    private void ServeOnce()
    {
        if (!Next(out BlockResult result))
            return;
        LoadPhase phase = _window.Phase;
        do
        {
            long now = Stopwatch.GetTimestamp();
            int buffer = _bufferOf[result.Token.Slot];
            Done++;
            if (phase != LoadPhase.WarmUp)
                Count(result, now - _since[result.Token.Slot], isLate: phase != LoadPhase.Measure);
            if (phase < LoadPhase.Drain)
                Submit(buffer, now);
        }
        while (_lane.TryTake(out result));
        _lane.Kick();
    }

    private bool Next(out BlockResult result)
    {
        if (!_options.Poll)
            return _lane.Wait(LookEvery, out result);
        _lane.Kick();
        for (int looks = 0; looks < LooksBetween; looks++)
            if (_lane.TryTake(out result))
                return true;
        result = default;
        return false;
    }

    private void Count(in BlockResult result, long ticks, bool isLate)
    {
        bool isWrite = result.Type == BlockRequestType.Out;
        if (result.IsDone)
        {
            (isWrite ? Writes : Reads).Add(ticks * 1_000_000_000 / Stopwatch.Frequency);
            LateWrites += isLate && isWrite ? 1 : 0;
            LateReads += isLate && !isWrite ? 1 : 0;
            return;
        }

        FirstError ??= result;
        if (isWrite)
            WriteErrors++;
        else
            ReadErrors++;
    }

    private void Submit(int buffer, long now)
    {
        ulong sector = _range.FirstSector + (ulong)(NextBlock() * _range.SectorsPerBlock);
        BlockRequest request = IsRead() ? BlockRequest.Read(sector, _buffers[buffer]) : BlockRequest.Write(sector, _buffers[buffer]);
        if (!_lane.TrySubmit(request, out BlockToken token))
            throw new QueueException($"the queue has no room for {_options.Depth} requests: give less");
        (_bufferOf[token.Slot], _since[token.Slot]) = (buffer, now);
    }

    private long NextBlock()
    {
        if (_options.IsRandom)
            return (long)Math.BigMul(Random(), (ulong)_range.Blocks, out _);
        long block = _next;
        _next = block + 1 < _range.Blocks ? block + 1 : 0;
        return block;
    }

    private bool IsRead() => _options.ReadPercent switch
    {
        100 => true,
        0 => false,
        var percent => Random() % 100 < (ulong)percent,
    };

    /// <summary>SplitMix64: as random as a disk needs, in a nanosecond, and the same in each run.</summary>
    private ulong Random()
    {
        ulong mixed = _random += 0x9E37_79B9_7F4A_7C15;
        mixed = (mixed ^ mixed >> 30) * 0xBF58_476D_1CE4_E5B9;
        mixed = (mixed ^ mixed >> 27) * 0x94D0_49BB_1331_11EB;
        return mixed ^ mixed >> 31;
    }
}
