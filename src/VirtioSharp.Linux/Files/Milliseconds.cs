namespace VirtioSharp.Linux;

/// <summary>Timeouts for the calls that count in whole milliseconds.</summary>
internal static class Milliseconds
{
    /// <summary>Up, never down: a timeout cut to 0 would turn the last millisecond of a wait into a busy loop.</summary>
    public static int RoundUp(TimeSpan time)
    {
        if (time <= TimeSpan.Zero)
            return 0;
        long milliseconds = (time.Ticks - 1) / TimeSpan.TicksPerMillisecond + 1;
        return (int)Math.Min(milliseconds, int.MaxValue);
    }
}
