namespace VirtioSharp.Devices.Rng;

/// <summary>At most so many bytes in each period of time. It only counts: who has run out waits somewhere else.</summary>
/// <remarks>A period starts with the first byte after the last one ended, so two bursts may meet at a border.</remarks>
public sealed class RateLimit
{
    private readonly int _bytesPerPeriod;
    private readonly TimeSpan _period;
    private long? _periodStart;
    private int _left;

    /// <summary>Allows <paramref name="bytesPerPeriod"/> bytes in every <paramref name="period"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Either is not positive.</exception>
    public RateLimit(int bytesPerPeriod, TimeSpan period)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytesPerPeriod);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(period, TimeSpan.Zero);
        (_bytesPerPeriod, _period) = (bytesPerPeriod, period);
    }

    /// <summary>How many bytes may be given now, at most <paramref name="wanted"/>.</summary>
    public int Available(TimeProvider time, int wanted)
    {
        if (UntilRefill(time) == TimeSpan.Zero)
            (_periodStart, _left) = (time.GetTimestamp(), _bytesPerPeriod);
        return Math.Min(_left, wanted);
    }

    /// <summary>Counts bytes that were given.</summary>
    public void Take(int bytes) => _left -= bytes;

    /// <summary>How long until there are bytes again for who has used them up.</summary>
    public TimeSpan UntilRefill(TimeProvider time)
    {
        TimeSpan left = _periodStart is { } start ? _period - time.GetElapsedTime(start) : TimeSpan.Zero;
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }
}
