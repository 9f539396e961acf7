using System.Globalization;

namespace VirtioSharp.Bench.Rings;

/// <summary>Measures several runs in turn, so that all meet the machine in the same mood, and shows what they cost.</summary>
internal sealed class Harness(int rounds, TimeSpan chunk)
{
    /// <summary>One thing to measure: does so many units, and returns the chains that were done. C needs no time to warm up.</summary>
    public readonly record struct Run(string Name, Func<long, long> Go, bool IsNative = false);

    // A method climbs a tier after 30 calls, counted from when nothing new has been compiled for 100 ms: run, count, profile.
    public const int Tiers = 4, CallsPerTier = 60, TierDelay = 120;

    /// <summary>Nanoseconds per chain, by run and round. Thread time: what other processes take does not count.</summary>
    public double[][] OneThread(params Run[] runs)
    {
        long[] units = [.. runs.Select(run => Calibrate(run))];
        double[][] figures = [.. runs.Select(_ => new double[rounds])];
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < runs.Length; i++)
            {
                int at = (i + round) % runs.Length; // nobody is always first
                long start = ThreadClock.CpuNanoseconds;
                long chains = Must(runs[at], units[at]);
                figures[at][round] = (double)(ThreadClock.CpuNanoseconds - start) / chains;
            }
        }

        return figures;
    }

    public static long Must(Run run, long units)
    {
        long chains = run.Go(units);
        return chains > 0 ? chains : throw new InvalidOperationException($"{run.Name} failed with {chains}: the figures mean nothing");
    }

    public int Rounds => rounds;

    /// <summary>Lets the JIT finish, and finds how many units fill a chunk.</summary>
    private long Calibrate(Run run)
    {
        for (int tier = 0; tier < Tiers && !run.IsNative; tier++)
        {
            for (int call = 0; call < CallsPerTier; call++)
                Must(run, 10);
            Thread.Sleep(TierDelay);
        }

        long start = ThreadClock.CpuNanoseconds;
        Must(run, 1000);
        return Math.Max(1, (long)(chunk.TotalNanoseconds * 1000 / (ThreadClock.CpuNanoseconds - start)));
    }

    public static void Head(string title, params string[] columns)
    {
        Console.WriteLine();
        Console.WriteLine(title);
        Console.Write(new string(' ', 34));
        foreach (string column in columns)
            Console.Write($"{column,-24}");
        Console.WriteLine("C# ÷ C");
    }

    /// <summary>One row: median (min–max) of each run, and the median of the ratio of the second to the first, round by round.</summary>
    public static double Row(string name, double[][] figures)
    {
        Console.Write($"  {name,-32}");
        foreach (double[] run in figures)
            Console.Write($"{Show(run, "F1"),-24}");
        double[] ratios = [.. figures[1].Zip(figures[0], (sharp, c) => sharp / c)];
        Console.WriteLine(Show(ratios, "F2"));
        return Median(ratios);
    }

    private static string Show(double[] figures, string format)
    {
        string One(double figure) => figure.ToString(format, CultureInfo.InvariantCulture);
        return $"{One(Median(figures))} ({One(figures.Min())}–{One(figures.Max())})";
    }

    private static double Median(double[] figures)
    {
        double[] sorted = [.. figures.Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
