using System.Diagnostics;

namespace VirtioSharp.Bench.Rings;

/// <summary>A driver's and a device's thread, each on a processor of its own, each always looking.</summary>
internal sealed class TwoThreads : IDisposable
{
    /// <summary>Runs in which neither thread may be interrupted, before one that was is taken as it is.</summary>
    private const int Attempts = 40;

    private readonly SemaphoreSlim _work = new(0);
    private readonly Thread _deviceThread;
    private ITalkingDevice? _device;
    private long _chains;
    private long _preemptions;
    private volatile int _state; // 1: the device is looking, 2: it is done

    public TwoThreads()
    {
        _deviceThread = new Thread(DeviceLoop) { IsBackground = true };
        _deviceThread.Start();
        ThreadClock.Pin(0);
    }

    /// <summary>Runs that could not be had without an interruption.</summary>
    public int Disturbed { get; private set; }

    /// <summary>Nanoseconds of wall clock per chain.</summary>
    public double Measure(Talk talk, long chains, int depth)
    {
        double figure = 0;
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            figure = Once(talk, chains, depth, out bool disturbed);
            if (!disturbed)
                return figure;
        }

        Disturbed++;
        return figure;
    }

    public void Warm(Talk talk, long chains, int depth) => Once(talk, chains, depth, out _);

    private double Once(Talk talk, long chains, int depth, out bool disturbed)
    {
        (_device, _chains, _state) = (talk.Device, chains, 0);
        _work.Release();
        while (_state != 1)
        {
        }

        long preemptions = ThreadClock.Preemptions;
        long start = Stopwatch.GetTimestamp();
        long done = talk.Driver.Drive(chains, depth);
        TimeSpan time = Stopwatch.GetElapsedTime(start);
        disturbed = ThreadClock.Preemptions != preemptions;
        if (done != chains)
            throw new InvalidOperationException($"the driver fails with {done}");
        while (_state != 2)
        {
        }

        disturbed |= _preemptions != 0;
        return time.TotalNanoseconds / chains;
    }

    private void DeviceLoop()
    {
        ThreadClock.Pin(1);
        while (true)
        {
            _work.Wait();
            if (_device is not { } device)
                return;
            long preemptions = ThreadClock.Preemptions;
            _state = 1;
            long done = device.Serve(_chains, batch: 1, wait: true);
            if (done != _chains)
            {
                Console.Error.WriteLine($"the device fails with {done}: the figures mean nothing");
                Environment.Exit(1); // the driver would wait for ever
            }

            _preemptions = ThreadClock.Preemptions - preemptions;
            _state = 2;
        }
    }

    public void Dispose()
    {
        _device = null;
        _work.Release();
        _deviceThread.Join();
        _work.Dispose();
    }
}
