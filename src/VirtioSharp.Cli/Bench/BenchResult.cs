using System.Text.Json.Serialization;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Measure;
using VirtioSharp.Spec;

namespace VirtioSharp.Cli.Bench;

/// <summary>What <c>vio bench blk --format json</c> prints.</summary>
/// <param name="SocketPath">The daemon.</param>
/// <param name="Rw">What was asked for.</param>
/// <param name="BlockBytes">Bytes of a request.</param>
/// <param name="Depth">Requests in flight in each queue.</param>
/// <param name="Queues">How many queues.</param>
/// <param name="Ring">Their format.</param>
/// <param name="Seconds">How long it was measured.</param>
/// <param name="Read">Reads, if there were any.</param>
/// <param name="Write">Writes, if there were any.</param>
/// <param name="Daemon">What it cost the daemon, if its process is known.</param>
/// <param name="FirstError">The first request that failed.</param>
internal sealed record BenchResult(
    string SocketPath, string Rw, int BlockBytes, int Depth, int Queues, string Ring, double Seconds,
    BenchSide? Read, BenchSide? Write, BenchDaemon? Daemon, string? FirstError)
{
    public static BenchResult Of(string path, LoadKind kind, BlockLoadOptions load, BlockDriver driver, int daemon, BlockLoadResult measured) => new(
        path, kind.ToString().ToLowerInvariant(), load.BlockBytes, load.Depth, load.Queues,
        driver.NegotiatedFeatures.Has(Features.RingPacked) ? "packed" : "split",
        measured.Time.TotalSeconds,
        load.ReadPercent > 0 ? BenchSide.Of(measured.Reads, load.BlockBytes, measured.Time) : null,
        load.ReadPercent < 100 ? BenchSide.Of(measured.Writes, load.BlockBytes, measured.Time) : null,
        measured.DaemonTime is { } used ? new(daemon, used.TotalSeconds, used / measured.Time, measured.DaemonMicroseconds) : null,
        measured.FirstError?.ToString());
}

/// <summary>One direction.</summary>
/// <param name="Requests">That succeeded.</param>
/// <param name="Errors">That failed.</param>
/// <param name="Iops">Requests a second.</param>
/// <param name="MibPerSecond">Bytes a second.</param>
/// <param name="LatencyMicroseconds">From submission to answer.</param>
internal sealed record BenchSide(long Requests, long Errors, double Iops, double MibPerSecond, BenchLatency LatencyMicroseconds)
{
    public static BenchSide Of(BlockLoadFigures figures, int blockBytes, TimeSpan time)
    {
        LatencyHistogram latency = figures.Latency;
        double perSecond = figures.Requests / time.TotalSeconds;
        return new(figures.Requests, figures.Errors, perSecond, perSecond * blockBytes / (1 << 20), new(
            latency.Minimum.TotalMicroseconds, latency.Mean.TotalMicroseconds, latency.Percentile(50).TotalMicroseconds, latency.Percentile(90).TotalMicroseconds,
            latency.Percentile(99).TotalMicroseconds, latency.Percentile(99.9).TotalMicroseconds, latency.Maximum.TotalMicroseconds));
    }
}

/// <summary>Latency in microseconds.</summary>
internal sealed record BenchLatency(double Min, double Mean, double P50, double P90, double P99, double P999, double Max);

/// <summary>Processor time of the daemon.</summary>
/// <param name="ProcessId">Which process: the one that listened at the socket.</param>
/// <param name="CpuSeconds">What it used while it was measured, the kernel's work for it included.</param>
/// <param name="Processors">How many it kept busy.</param>
/// <param name="CpuMicrosecondsPerRequest">What a request cost.</param>
internal sealed record BenchDaemon(int ProcessId, double CpuSeconds, double Processors, double? CpuMicrosecondsPerRequest);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(BenchResult))]
internal sealed partial class BenchJson : JsonSerializerContext;
