using System.Diagnostics;
using VirtioSharp.Measure;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Bench.Blk;

/// <summary>A vhost-user-blk daemon in its own process. Killed when disposed.</summary>
internal sealed class BlkDaemon : IDisposable
{
    private const int Patience = 30_000; // milliseconds, for its socket
    private static readonly List<BlkDaemon> Running = [];

    private readonly Process _process;
    private readonly string _socket;

    /// <exception cref="BlkDaemonException">It does not come up.</exception>
    public BlkDaemon(string name, string program, string[] arguments, string socket)
    {
        (Name, _socket) = (name, socket);
        _process = Process.Start(program, arguments);
        lock (Running)
            Running.Add(this);
        long end = Environment.TickCount64 + Patience;
        while (!File.Exists(socket))
        {
            bool hasEnded = _process.WaitForExit(20);
            if (!hasEnded && Environment.TickCount64 < end)
                continue;
            Dispose();
            throw new BlkDaemonException($"{program} {string.Join(' ', arguments)} {(hasEnded ? "has ended" : $"makes no socket within {Patience / 1000} s")}");
        }
    }

    /// <summary>What tells it from others of its program.</summary>
    public string Name { get; }

    /// <summary>A session of its, with requests ready to be sent.</summary>
    public BlkSession Open(BlockLoadOptions options) => new(VhostUserFrontEnd.Connect(_socket, DeviceId.Block, BlockLoad.Connection(options)), options);

    /// <summary>Kills those that still run, when nobody will dispose them.</summary>
    public static void KillAll()
    {
        lock (Running)
            Running.ForEach(daemon => daemon._process.Kill());
    }

    public void Dispose()
    {
        lock (Running)
            Running.Remove(this);
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        File.Delete(_socket);
    }
}

/// <summary>There is nothing to measure.</summary>
internal sealed class BlkDaemonException(string message) : Exception(message);

/// <summary>A load on one daemon.</summary>
internal sealed class BlkSession : IDisposable
{
    private readonly VhostUserFrontEnd _frontEnd;
    private readonly BlockLoad _load;

    public BlkSession(VhostUserFrontEnd frontEnd, BlockLoadOptions options)
    {
        _frontEnd = frontEnd;
        try
        {
            _load = new BlockLoad(frontEnd, options);
        }
        catch
        {
            frontEnd.Dispose();
            throw;
        }
    }

    public BlkFigures Run(TimeSpan time)
    {
        BlockLoadResult result = _load.Run(time / 10, time);
        if (result.FirstError is { } error)
            throw new BlkDaemonException($"{result.Errors} requests failed; the first: {error}");
        LatencyHistogram latency = result.Reads.Latency.Count > 0 ? result.Reads.Latency : result.Writes.Latency;
        return new(result.PerSecond, result.DaemonMicroseconds ?? double.NaN, latency.Percentile(99).TotalMicroseconds);
    }

    public void Dispose()
    {
        _load.Dispose();
        _frontEnd.Dispose();
    }
}

/// <summary>One round of one daemon.</summary>
/// <param name="PerSecond">Requests a second.</param>
/// <param name="Cpu">Processor time of the daemon for a request, in microseconds.</param>
/// <param name="P99">What 99 of 100 requests were answered within, in microseconds.</param>
internal readonly record struct BlkFigures(double PerSecond, double Cpu, double P99);
