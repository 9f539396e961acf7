using System.Diagnostics;
using System.Globalization;

namespace VirtioSharp.Bench.Rings;

/// <summary>What a chain costs in C# and in C, in the same process and in turn. bench/rings says what the rows are.</summary>
/// <remarks>
/// Each row has a process of its own. The JIT compiles for what a process has done: after a row of direct chains the
/// driver's way for indirect ones is a side way, and the other way round, 1-3 ns per chain. No driver mixes them so.
/// </remarks>
internal static class RingBench
{
    private const int Size = 256;
    private const string RowOption = "--row=";

    private sealed record Group(string Name, string Title, params string[] Columns);

    private sealed record Row(Group Group, string Name, Func<Harness, double[][]> Measure);

    private static readonly Group Device = new("device", "Device end, the ring alone: pop and complete a request of 3 descriptors, 64 per publication", "C", "C#");
    private static readonly Group Host = new("host", "Device end with a device model behind it (a virtual call per request), as DeviceHost serves it", "C", "C#");
    private static readonly Group Driver = new("driver", "Driver end: add a request of 3 buffers and get it back, 64 per publication", "C", "C#", "C#, DriverQueue");
    private static readonly Group Threads = new("threads", "Driver and device on threads of their own, a publication per request, content checked", "C", "C#", "C driver, C# device", "C# driver, C device");

    private static readonly Row[] Rows = [.. AllRows()];

    public static int Run(string[] options)
    {
        bool quick = options.Contains("--quick");
        if (!Reference.IsAvailable(out string whyNot))
        {
            Console.Error.WriteLine(whyNot);
            return 1;
        }

        var harness = new Harness(rounds: quick ? 15 : 61, chunk: TimeSpan.FromMilliseconds(quick ? 1.5 : 8));
        if (options.FirstOrDefault(option => option.StartsWith(RowOption, StringComparison.Ordinal)) is { } option)
        {
            Row row = Rows[int.Parse(option[RowOption.Length..], CultureInfo.InvariantCulture)];
            ThreadClock.Pin(0);
            Harness.Row(row.Name, row.Measure(harness));
            return 0;
        }

        if (!AllTalk(quick ? 200_000 : 1_000_000))
            return 1;
        Console.WriteLine($"ns per chain: median (min–max) of {harness.Rounds} rounds, C and C# in turn.");
        string only = options.FirstOrDefault(option => !option.StartsWith("--", StringComparison.Ordinal)) ?? "";
        foreach (IGrouping<Group, int> rows in Enumerable.Range(0, Rows.Length).GroupBy(index => Rows[index].Group))
        {
            if (!rows.Key.Name.Contains(only, StringComparison.Ordinal))
                continue;
            Harness.Head(rows.Key.Title, rows.Key.Columns);
            foreach (int row in rows)
                if (!InOwnProcess(row, quick))
                    return 1;
        }

        return 0;
    }

    private static bool InOwnProcess(int row, bool quick)
    {
        string[] arguments = [typeof(RingBench).Assembly.Location, "rings", RowOption + row.ToString(CultureInfo.InvariantCulture), .. quick ? ["--quick"] : Array.Empty<string>()];
        using Process child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments))!;
        child.WaitForExit();
        return child.ExitCode == 0;
    }

    private static IEnumerable<bool> Formats => [false, true];

    private static IEnumerable<Row> AllRows()
    {
        foreach (bool packed in Formats)
            foreach (bool indirect in Formats)
            {
                string name = $"{NameOf(packed)}, {(indirect ? "indirect" : "direct")}";
                foreach (int regions in (int[])[1, 8])
                    yield return new(Device, $"{name}, {regions} region{(regions > 1 ? "s" : "")}", harness => MeasureDevice(harness, packed, indirect, regions));
                yield return new(Host, name, harness => MeasureHost(harness, packed, indirect));
                yield return new(Driver, name, harness => MeasureDriver(harness, packed, indirect));
            }

        if (Environment.ProcessorCount < 2)
            yield break;
        foreach (bool packed in Formats)
            foreach (int depth in (int[])[1, 16, 64])
                yield return new(Threads, $"{NameOf(packed)}, depth {depth}", harness => MeasureThreads(harness.Rounds, packed, depth));
    }

    private static string NameOf(bool packed) => packed ? "packed" : "split";

    private static bool AllTalk(long chains)
    {
        Console.WriteLine($"Interoperability, {chains:N0} requests with numbers that are checked:");
        bool well = true;
        foreach (bool packed in Formats)
            foreach (bool indirect in Formats)
                foreach ((bool driverInC, bool deviceInC) in ((bool, bool)[])[(true, false), (false, true)])
                {
                    using var talk = new Talk(driverInC, deviceInC, packed, indirect, Size);
                    string? wrong = Interop.Check(talk, chains, seed: 1);
                    Console.WriteLine($"  {(driverInC ? "C driver, C# device" : "C# driver, C device")}, {NameOf(packed)}, {(indirect ? "indirect" : "direct")}: {wrong ?? "well"}");
                    well &= wrong is null;
                }

        return well;
    }

    private static double[][] MeasureDevice(Harness harness, bool packed, bool indirect, int regions)
    {
        using var c = new DeviceStage(packed, indirect, regions);
        using var sharp = new DeviceStage(packed, indirect, regions);
        return harness.OneThread(new("C", c.RunC, IsNative: true), new("C#", sharp.RunSharp));
    }

    private static double[][] MeasureHost(Harness harness, bool packed, bool indirect)
    {
        using var c = new DeviceStage(packed, indirect, 1);
        using var sharp = new DeviceStage(packed, indirect, 1);
        return harness.OneThread(new("C", c.RunModelC, IsNative: true), new("C#", sharp.RunHostSharp));
    }

    private static double[][] MeasureDriver(Harness harness, bool packed, bool indirect)
    {
        using var c = new DriverStage(packed, indirect);
        using var sharp = new DriverStage(packed, indirect);
        using var queue = new DriverStage(packed, indirect);
        return harness.OneThread(new("C", c.RunC, IsNative: true), new("C#", sharp.RunSharp), new("DriverQueue", queue.RunQueueSharp));
    }

    private static double[][] MeasureThreads(int rounds, bool packed, int depth)
    {
        using var threads = new TwoThreads();
        (bool DriverInC, bool DeviceInC)[] pairs = [(true, true), (false, false), (true, false), (false, true)];
        Talk[] talks = [.. pairs.Select(pair => new Talk(pair.DriverInC, pair.DeviceInC, packed, indirect: false, Size))];
        long chains = depth == 1 ? 4000 : 10_000;
        for (int tier = 0; tier < Harness.Tiers; tier++)
        {
            foreach (Talk talk in talks)
                for (int call = 0; call < Harness.CallsPerTier; call++)
                    threads.Warm(talk, 500, depth);
            Thread.Sleep(Harness.TierDelay);
        }

        double[][] figures = [.. talks.Select(_ => new double[rounds])];
        for (int round = 0; round < rounds; round++)
            for (int i = 0; i < talks.Length; i++)
                figures[(i + round) % talks.Length][round] = threads.Measure(talks[(i + round) % talks.Length], chains, depth);
        foreach (Talk talk in talks)
            talk.Dispose();
        if (threads.Disturbed > 0)
            Console.WriteLine($"  {threads.Disturbed} runs of the next row were interrupted by other processes at every attempt, and count as they are.");
        return figures;
    }
}
