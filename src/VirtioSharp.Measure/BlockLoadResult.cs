using VirtioSharp.Drivers.Block;

namespace VirtioSharp.Measure;

/// <summary>What was measured, without the time to warm up.</summary>
/// <param name="Time">How long.</param>
/// <param name="Reads">Of reads.</param>
/// <param name="Writes">Of writes.</param>
/// <param name="FirstError">The first request that failed.</param>
/// <param name="DaemonTime">Processor time that the back-end's process used meanwhile; null when it is not known.</param>
public sealed record BlockLoadResult(TimeSpan Time, BlockLoadFigures Reads, BlockLoadFigures Writes, BlockResult? FirstError, TimeSpan? DaemonTime)
{
    /// <summary>Requests that succeeded in that time.</summary>
    public long Requests => Reads.Requests + Writes.Requests;

    /// <summary>Requests that failed.</summary>
    public long Errors => Reads.Errors + Writes.Errors;

    /// <summary>Requests a second.</summary>
    public double PerSecond => Requests / Time.TotalSeconds;

    /// <summary>Processor time of the back-end for one request, in microseconds.</summary>
    public double? DaemonMicroseconds => Requests > 0 ? DaemonTime?.TotalMicroseconds / Requests : null;
}

/// <summary>One direction.</summary>
/// <param name="Latency">From a request's submission until its answer was seen, of those that succeeded; also of those that were under way when the time was over.</param>
/// <param name="Requests">How many succeeded in the time.</param>
/// <param name="Errors">How many failed.</param>
public sealed record BlockLoadFigures(LatencyHistogram Latency, long Requests, long Errors);

/// <summary>How far a run is.</summary>
/// <param name="IsWarmUp">Whether nothing counts yet.</param>
/// <param name="Part">How much of the time is over, warm-up included: 0 to 1.</param>
/// <param name="PerSecond">Requests a second, just now.</param>
public readonly record struct BlockLoadProgress(bool IsWarmUp, double Part, double PerSecond);
