using System.Numerics;

namespace VirtioSharp.Measure;

/// <summary>Counts times by their size, so that a million of them need no more room than one. Adding allocates nothing.</summary>
/// <remarks>
/// Buckets are log-linear: each power of two is cut into 64 of the same width, so a percentile is at most 1.6 % above the
/// truth; minimum, maximum and mean are exact. (The known library for this, HdrHistogram, has had no release for years.)
/// </remarks>
public sealed class LatencyHistogram
{
    private const int PartBits = 6, Parts = 1 << PartBits;
    private const int MaxBits = 40; // 18 minutes; what takes longer is counted as that

    private readonly long[] _counts = new long[(MaxBits - PartBits + 1) * Parts];
    private long _sum;
    private long _least = long.MaxValue;

    /// <summary>How many there are.</summary>
    public long Count { get; private set; }

    /// <summary>The shortest.</summary>
    public TimeSpan Minimum => Count == 0 ? TimeSpan.Zero : ToTime(_least);

    /// <summary>The longest.</summary>
    public TimeSpan Maximum => ToTime(MaximumNanoseconds);

    /// <summary>All together by how many there are.</summary>
    public TimeSpan Mean => Count == 0 ? TimeSpan.Zero : ToTime(_sum / Count);

    private long MaximumNanoseconds { get; set; }

    /// <summary>Counts one.</summary>
    public void Add(long nanoseconds)
    {
        nanoseconds = Math.Clamp(nanoseconds, 0, (1L << MaxBits) - 1);
        _counts[BucketOf(nanoseconds)]++;
        Count++;
        _sum += nanoseconds;
        _least = Math.Min(_least, nanoseconds);
        MaximumNanoseconds = Math.Max(MaximumNanoseconds, nanoseconds);
    }

    /// <summary>Counts all that another has counted.</summary>
    public void Add(LatencyHistogram other)
    {
        for (int bucket = 0; bucket < _counts.Length; bucket++)
            _counts[bucket] += other._counts[bucket];
        Count += other.Count;
        _sum += other._sum;
        _least = Math.Min(_least, other._least);
        MaximumNanoseconds = Math.Max(MaximumNanoseconds, other.MaximumNanoseconds);
    }

    /// <summary>The time that so many of a hundred did not exceed.</summary>
    /// <param name="percent">0 to 100, with any fraction.</param>
    public TimeSpan Percentile(double percent)
    {
        long wanted = Math.Max(1, (long)Math.Ceiling(Count * percent / 100)), seen = 0;
        for (int bucket = 0; bucket < _counts.Length; bucket++)
        {
            seen += _counts[bucket];
            if (seen >= wanted)
                return ToTime(Math.Clamp(LastOf(bucket), _least, MaximumNanoseconds));
        }

        return TimeSpan.Zero;
    }

    /// <summary>The first 64 nanoseconds have a bucket each; from there on the leading bits choose the row, and the next six the place in it.</summary>
    private static int BucketOf(long nanoseconds)
    {
        int row = Math.Max(0, BitOperations.Log2((ulong)nanoseconds | 1) - PartBits + 1);
        return row == 0 ? (int)nanoseconds : (row << PartBits) + (int)((nanoseconds >> (row - 1)) - Parts);
    }

    private static long LastOf(int bucket)
    {
        int row = bucket >> PartBits, part = bucket & (Parts - 1);
        return row == 0 ? part : ((long)(Parts + part + 1) << (row - 1)) - 1;
    }

    private static TimeSpan ToTime(long nanoseconds) => new(nanoseconds / TimeSpan.NanosecondsPerTick);
}
