namespace VirtioSharp.Measure.Tests;

public sealed class LatencyHistogramTests
{
    [Theory]
    [InlineData(1, 100)]
    [InlineData(1, 5_000)]
    [InlineData(50_000, 40_000_000)]
    [InlineData(1_000, 900_000_000_000)]
    public void Percentiles_are_the_sorted_times_rounded_up_by_no_more_than_a_64th(long least, long most)
    {
        var random = new Random(1);
        long[] times = [.. Enumerable.Range(0, 10_001).Select(_ => (long)(least * Math.Pow((double)most / least, random.NextDouble())))];
        var histogram = new LatencyHistogram();
        foreach (long time in times)
            histogram.Add(time);
        Array.Sort(times);

        foreach (double percent in (double[])[0, 1, 25, 50, 90, 99, 99.9, 100])
        {
            long truth = times[Math.Max(0, (int)Math.Ceiling(times.Length * percent / 100) - 1)];
            Assert.InRange(Nanoseconds(histogram.Percentile(percent)), truth - 100, truth + truth / 64 + 1); // a TimeSpan has steps of 100 ns
        }

        Assert.InRange(Nanoseconds(histogram.Mean), times.Average() - 101, times.Average());
        Assert.Equal((Ticks(times[0]), Ticks(times[^1]), times.Length), (histogram.Minimum.Ticks, histogram.Maximum.Ticks, histogram.Count));
    }

    [Fact]
    public void Two_together_are_as_if_one_had_counted_all()
    {
        var (first, second, both) = (new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram());
        for (long time = 100; time < 100_000_000; time += time / 3)
        {
            (time % 2 == 0 ? first : second).Add(time);
            both.Add(time);
        }

        first.Add(second);

        Assert.Equal(Facts(both), Facts(first));
    }

    [Fact]
    public void Times_below_nothing_and_beyond_all_reason_are_counted_at_the_ends()
    {
        var histogram = new LatencyHistogram();

        histogram.Add(-5);
        histogram.Add(long.MaxValue);

        Assert.Equal((2, TimeSpan.Zero), (histogram.Count, histogram.Percentile(50)));
        Assert.InRange(histogram.Maximum, TimeSpan.FromMinutes(18), TimeSpan.FromMinutes(19));
    }

    [Fact]
    public void Nothing_counted_is_nothing()
    {
        Assert.Equal((0, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero, TimeSpan.Zero), Facts(new LatencyHistogram()));
    }

    private static (long, TimeSpan, TimeSpan, TimeSpan, TimeSpan) Facts(LatencyHistogram times) =>
        (times.Count, times.Minimum, times.Maximum, times.Mean, times.Percentile(90));

    private static long Ticks(long nanoseconds) => nanoseconds / TimeSpan.NanosecondsPerTick;

    private static long Nanoseconds(TimeSpan time) => time.Ticks * TimeSpan.NanosecondsPerTick;
}
