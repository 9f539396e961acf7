using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace VirtioSharp.Cli.Output;

/// <summary>Logging as every command does it: one line each, on standard error, with colour only on a terminal.</summary>
internal static partial class Logs
{
    public static ILoggerFactory ToStandardError(LogLevel level) => LoggerFactory.Create(builder => builder
        .SetMinimumLevel(level)
        .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace)
        .AddSimpleConsole(line =>
        {
            line.SingleLine = true;
            line.TimestampFormat = "HH:mm:ss.fff ";
            line.ColorBehavior = Console.IsErrorRedirected ? LoggerColorBehavior.Disabled : LoggerColorBehavior.Default;
        }));

    [LoggerMessage(101, LogLevel.Warning, "--blk-file {Path}: its file system has no locks; see to it that no other program writes to it")]
    public static partial void DiskNotLocked(this ILogger log, string path);

    [LoggerMessage(102, LogLevel.Information, "the disk has {Bytes} bytes now, as was asked on the control socket")]
    public static partial void Resized(this ILogger log, ulong bytes);

    [LoggerMessage(103, LogLevel.Warning, "{Reason}: requests go past the page cache one by one, as with --aio sync")]
    public static partial void NoIoUring(this ILogger log, string reason);

    [LoggerMessage(100, LogLevel.Error, "--report {Path}: {Reason}; serving goes on")]
    public static partial void ReportNotWritten(this ILogger log, string path, string reason);
}
