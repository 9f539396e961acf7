using Microsoft.Extensions.Logging;

namespace VirtioSharp.Backends.Nbd;

/// <summary>What the NBD back-end says: when the server comes and goes, and nothing per request.</summary>
internal static partial class Log
{
    [LoggerMessage(110, LogLevel.Information, "{Uri}: {Bytes} bytes, {Flags}, blocks of {Minimum} (best {Preferred}, most {Maximum} at a time), replies {Replies}")]
    public static partial void Entered(this ILogger log, NbdUri uri, ulong bytes, NbdFlags flags, uint minimum, uint preferred, uint maximum, string replies);

    [LoggerMessage(111, LogLevel.Warning, "{Uri}: {Reason}; trying again, while {Requests} requests wait")]
    public static partial void Away(this ILogger log, NbdUri uri, string reason, int requests);

    [LoggerMessage(112, LogLevel.Information, "{Uri}: the server is back; {Requests} requests are sent to it again")]
    public static partial void Back(this ILogger log, NbdUri uri, int requests);

    [LoggerMessage(113, LogLevel.Error, "{Uri}: what was written since the last flush may be lost with the connection; the driver is told with its next flush")]
    public static partial void UnflushedLost(this ILogger log, NbdUri uri);
}
