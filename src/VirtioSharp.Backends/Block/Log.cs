using Microsoft.Extensions.Logging;
using VirtioSharp.Devices.Block;

namespace VirtioSharp.Backends.Block;

/// <summary>What back-ends of the block device say: nothing per request.</summary>
internal static partial class Log
{
    [LoggerMessage(101, LogLevel.Error, "{Kind} of {Bytes} bytes at {Offset} failed: {Reason}; the driver is told so (said once)")]
    public static partial void OperationFailed(this ILogger log, BlockOperationKind kind, long bytes, long offset, string reason);

    [LoggerMessage(103, LogLevel.Error, "writes since the last flush may be lost: {Reason}; every flush fails from now on, until the disk is served anew")]
    public static partial void WritesLost(this ILogger log, string reason);

    [LoggerMessage(104, LogLevel.Warning, "{Reason}: requests that it refuses are served without it (said once)")]
    public static partial void RingRefused(this ILogger log, string reason);

    [LoggerMessage(102, LogLevel.Error, "the disk's length is not known any more: {Reason}; it stays what it was")]
    public static partial void LengthUnknown(this ILogger log, string reason);
}
