using System.Diagnostics;
using System.Numerics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Block;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Measure;

/// <summary>Keeps a number of requests in flight on the disk of a vhost-user daemon, and measures how they are answered.</summary>
/// <remarks>One thread per queue, with no lock and no allocation per request; the calling thread watches the connection and the clock.</remarks>
public sealed class BlockLoad : IDisposable
{
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly VhostUserFrontEnd _frontEnd;
    private readonly BlockLoadOptions _options;
    private readonly LoadWindow _window = new();
    private readonly LoadLane[] _lanes;

    /// <summary>Sets the disk and the requests up.</summary>
    /// <param name="frontEnd">The connection, made with <see cref="Connection"/>; not disposed.</param>
    /// <param name="options">What to ask.</param>
    /// <exception cref="ArgumentException">The disk cannot be asked this; the message says what can be.</exception>
    /// <exception cref="TransportException">The back-end fails.</exception>
    public BlockLoad(VhostUserFrontEnd frontEnd, BlockLoadOptions options)
    {
        (_frontEnd, _options) = (frontEnd, options);
        if (options.Queues > frontEnd.QueueCount)
            throw new ArgumentException($"{options.Queues} queues: the daemon has {frontEnd.QueueCount}");
        Driver = new BlockDriver(frontEnd, new() { MaxQueues = options.Queues, QueueSize = QueueSize(options), CopyBytes = BlockLayout.SectorBytes });
        try
        {
            LoadRange range = Check();
            _lanes = [.. Enumerable.Range(0, options.Queues).Select(queue => new LoadLane(Driver, frontEnd.Dma, queue, options, range, _window))];
        }
        catch
        {
            Driver.Dispose();
            throw;
        }
    }

    /// <summary>The disk.</summary>
    public BlockDriver Driver { get; }

    /// <summary>What the lanes' threads allocated in the last run.</summary>
    internal long AllocatedBytes => _lanes.Sum(lane => lane.AllocatedBytes);

    /// <summary>How to connect for a load.</summary>
    public static VhostUserFrontEndOptions Connection(BlockLoadOptions options)
    {
        long bytes = (long)options.Queues * (options.Depth * (long)options.BlockBytes + QueueSize(options) * 8192L) + (1 << 20); // rings and indirect tables: what is not used costs nothing
        return bytes <= int.MaxValue
            ? new() { HasThreadPerQueue = true, MemoryBytes = (int)bytes, MaxQueueSize = QueueSize(options) }
            : throw new ArgumentException($"{options.Queues} queues with {options.Depth} requests of {options.BlockBytes} bytes are more than 2 GiB in flight");
    }

    /// <summary>Runs the load once.</summary>
    /// <param name="warmUp">Does not count.</param>
    /// <param name="time">Counts.</param>
    /// <param name="progress">Is called a few times a second.</param>
    /// <exception cref="TimeoutException">Requests are not answered.</exception>
    /// <exception cref="TransportException">The back-end is gone, or breaks the protocol.</exception>
    /// <exception cref="QueueException">The device broke a queue.</exception>
    /// <exception cref="DeviceException">The device needs a reset.</exception>
    public BlockLoadResult Run(TimeSpan warmUp, TimeSpan time, Action<BlockLoadProgress>? progress = null)
    {
        foreach (LoadLane lane in _lanes)
            lane.Clear();
        _window.Phase = LoadPhase.WarmUp;
        Thread[] threads = [.. _lanes.Select(lane => new Thread(lane.Run) { IsBackground = true, Name = "load" })];
        foreach (Thread thread in threads)
            thread.Start();
        try
        {
            Watch(warmUp, part => new(true, part * (warmUp / (warmUp + time)), 0), progress);
            int process = _frontEnd.BackEndProcess;
            (TimeSpan? usedBefore, long start) = (ProcessClock.Read(process), Stopwatch.GetTimestamp());
            _window.Phase = LoadPhase.Measure;
            Watch(time, part => new(false, (warmUp + part * time) / (warmUp + time), 0), progress);
            _window.Phase = LoadPhase.Drain;
            (TimeSpan took, TimeSpan? usedAfter) = (Stopwatch.GetElapsedTime(start), ProcessClock.Read(process));
            Watch(Patience, _ => default, null);
            return Result(took, usedAfter - usedBefore);
        }
        finally
        {
            _window.Phase = LoadPhase.Abandon;
            foreach (Thread thread in threads)
                thread.Join();
        }
    }

    /// <summary>Resets the disk.</summary>
    public void Dispose() => Driver.Dispose();

    /// <summary>A request without indirect descriptors takes three entries, with them one. Daemons have 1024 at the most.</summary>
    private static int QueueSize(BlockLoadOptions options) => (int)Math.Clamp(BitOperations.RoundUpToPowerOf2((uint)options.Depth * 3), 128, 1024);

    /// <summary>Waits, and looks whether daemon and lanes are still there.</summary>
    private void Watch(TimeSpan time, Func<double, BlockLoadProgress> where, Action<BlockLoadProgress>? progress)
    {
        (long start, long last, long before) = (Stopwatch.GetTimestamp(), Stopwatch.GetTimestamp(), Done());
        while (true)
        {
            Driver.CheckConfiguration(); // throws when the daemon has left
            foreach (LoadLane lane in _lanes)
                lane.ThrowIfFailed();
            TimeSpan left = time - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || Array.TrueForAll(_lanes, lane => lane.IsFinished))
                return;
            _window.Changed.WaitOne(left < LookEvery ? left : LookEvery);
            (long now, long done) = (Stopwatch.GetTimestamp(), Done());
            progress?.Invoke(where(Math.Min(1, Stopwatch.GetElapsedTime(start) / time)) with { PerSecond = (done - before) / Stopwatch.GetElapsedTime(last, now).TotalSeconds });
            (last, before) = (now, done);
        }
    }

    private long Done() => _lanes.Sum(lane => lane.Done);

    private BlockLoadResult Result(TimeSpan took, TimeSpan? daemon)
    {
        int left = _lanes.Sum(lane => lane.InFlight);
        if (left > 0)
            throw new TimeoutException($"{left} requests have had no answer for {Patience.TotalSeconds} s");
        return new(took, Sum(lane => lane.Reads, lane => lane.LateReads, lane => lane.ReadErrors), Sum(lane => lane.Writes, lane => lane.LateWrites, lane => lane.WriteErrors),
            _lanes.Select(lane => lane.FirstError).FirstOrDefault(error => error is not null), daemon);
    }

    private BlockLoadFigures Sum(Func<LoadLane, LatencyHistogram> latency, Func<LoadLane, long> late, Func<LoadLane, long> errors)
    {
        var sum = new LatencyHistogram();
        foreach (LoadLane lane in _lanes)
            sum.Add(latency(lane));
        return new(sum, sum.Count - _lanes.Sum(late), _lanes.Sum(errors));
    }

    private LoadRange Check()
    {
        int bytes = _options.BlockBytes;
        if (_options.ReadPercent < 100 && Driver.Properties.IsReadOnly)
            throw new ArgumentException("the disk is read-only: it can only be read");
        if (bytes <= 0 || bytes % Driver.Properties.BlockSize != 0 || bytes > Driver.Properties.MaxRequestBytes)
            throw new ArgumentException($"requests of {bytes} bytes: the disk takes multiples of {Driver.Properties.BlockSize} up to {Driver.Properties.MaxRequestBytes}");
        long disk = (long)Math.Min(Driver.Capacity, long.MaxValue / BlockLayout.SectorBytes) * BlockLayout.SectorBytes;
        long room = disk - _options.Offset, length = _options.Bytes ?? room;
        if (_options.Offset < 0 || _options.Offset % Driver.Properties.BlockSize != 0 || length < bytes || length > room)
            throw new ArgumentException($"{length} bytes at {_options.Offset}: the disk has {disk}, in blocks of {Driver.Properties.BlockSize}, and a request {bytes}");
        return new LoadRange((ulong)_options.Offset / BlockLayout.SectorBytes, length / bytes, bytes / BlockLayout.SectorBytes);
    }
}

/// <summary>A part of a disk, cut into requests.</summary>
/// <param name="FirstSector">Where it begins.</param>
/// <param name="Blocks">How many requests it is long.</param>
/// <param name="SectorsPerBlock">How long each is.</param>
internal readonly record struct LoadRange(ulong FirstSector, long Blocks, int SectorsPerBlock);
