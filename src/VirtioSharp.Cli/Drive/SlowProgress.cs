using System.Diagnostics;

namespace VirtioSharp.Cli.Drive;

/// <summary>Says on standard error how far a command is that takes longer than anybody likes to wait without a word.</summary>
/// <param name="total">Bytes in all, if that is known.</param>
internal sealed class SlowProgress(long? total)
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(2);

    private readonly long _start = Stopwatch.GetTimestamp();
    private long _last = Stopwatch.GetTimestamp();

    public void Tell(long done)
    {
        if (Stopwatch.GetElapsedTime(_last) < Every)
            return;
        _last = Stopwatch.GetTimestamp();
        Console.Error.WriteLine($"{Stopwatch.GetElapsedTime(_start).TotalSeconds,6:F1} s  {done:N0}{(total is { } all ? $" of {all:N0}" : "")} bytes");
    }
}
