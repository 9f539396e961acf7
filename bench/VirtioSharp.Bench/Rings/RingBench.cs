namespace VirtioSharp.Bench.Rings;

/// <summary>What a chain costs in C# and in C, in the same process and in turn. bench/rings says what the rows are.</summary>
internal static class RingBench
{
    private const int Size = 256;

    public static int Run(string[] options)
    {
        bool quick = options.Contains("--quick");
        string only = options.FirstOrDefault(option => !option.StartsWith("--", StringComparison.Ordinal)) ?? "";
        if (!Reference.IsAvailable(out string whyNot))
        {
            Console.Error.WriteLine(whyNot);
            return 1;
        }

        if (!AllTalk(quick ? 200_000 : 1_000_000))
            return 1;

        ThreadClock.Pin(0);
        var harness = new Harness(rounds: quick ? 15 : 61, chunk: TimeSpan.FromMilliseconds(quick ? 1.5 : 8));
        Console.WriteLine($"ns per chain: median (min–max) of {harness.Rounds} rounds, C and C# in turn.");
        if ("device".Contains(only, StringComparison.Ordinal))
            Devices(harness);
        if ("host".Contains(only, StringComparison.Ordinal))
            Hosts(harness);
        if ("driver".Contains(only, StringComparison.Ordinal))
            Drivers(harness);
        if ("threads".Contains(only, StringComparison.Ordinal))
            Threads(quick ? 15 : 61);
        return 0;
    }

    private static IEnumerable<bool> Formats => [false, true];

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

    private static void Devices(Harness harness)
    {
        Harness.Head("Device end, the ring alone: pop and complete a request of 3 descriptors, 64 per publication", "C", "C#");
        foreach (bool packed in Formats)
            foreach (bool indirect in Formats)
                foreach (int regions in (int[])[1, 8])
                {
                    using var c = new DeviceStage(packed, indirect, regions);
                    using var sharp = new DeviceStage(packed, indirect, regions);
                    Harness.Row($"{NameOf(packed)}, {(indirect ? "indirect" : "direct")}, {regions} region{(regions > 1 ? "s" : "")}",
                        harness.OneThread(new("C", c.RunC, IsNative: true), new("C#", sharp.RunSharp)));
                }
    }

    private static void Hosts(Harness harness)
    {
        Harness.Head("Device end with a device model behind it (a virtual call per request), as DeviceHost serves it", "C", "C#");
        foreach (bool packed in Formats)
            foreach (bool indirect in Formats)
            {
                using var c = new DeviceStage(packed, indirect, 1);
                using var sharp = new DeviceStage(packed, indirect, 1);
                Harness.Row($"{NameOf(packed)}, {(indirect ? "indirect" : "direct")}", harness.OneThread(new("C", c.RunModelC, IsNative: true), new("C#", sharp.RunHostSharp)));
            }
    }

    private static void Drivers(Harness harness)
    {
        Harness.Head("Driver end: add a request of 3 buffers and get it back, 64 per publication", "C", "C#", "C#, DriverQueue");
        foreach (bool packed in Formats)
            foreach (bool indirect in Formats)
            {
                using var c = new DriverStage(packed, indirect);
                using var sharp = new DriverStage(packed, indirect);
                using var queue = new DriverStage(packed, indirect);
                Harness.Row($"{NameOf(packed)}, {(indirect ? "indirect" : "direct")}",
                    harness.OneThread(new("C", c.RunC, IsNative: true), new("C#", sharp.RunSharp), new("DriverQueue", queue.RunQueueSharp)));
            }
    }

    private static void Threads(int rounds)
    {
        if (Environment.ProcessorCount < 2)
        {
            Console.WriteLine("Two threads: left out, there is one processor.");
            return;
        }

        Harness.Head("Driver and device on threads of their own, a publication per request, content checked", "C", "C#", "C driver, C# device", "C# driver, C device");
        using var threads = new TwoThreads();
        foreach (bool packed in Formats)
            foreach (int depth in (int[])[1, 16, 64])
            {
                (bool DriverInC, bool DeviceInC)[] pairs = [(true, true), (false, false), (true, false), (false, true)];
                Talk[] talks = [.. pairs.Select(pair => new Talk(pair.DriverInC, pair.DeviceInC, packed, indirect: false, Size))];
                long chains = depth == 1 ? 4000 : 10_000;
                foreach (Talk talk in talks)
                {
                    for (int i = 0; i < 15; i++)
                    {
                        threads.Warm(talk, 2000, depth);
                        Thread.Sleep(15); // tier 1 is compiled in the background
                    }
                }

                double[][] figures = [.. talks.Select(_ => new double[rounds])];
                for (int round = 0; round < rounds; round++)
                    for (int i = 0; i < talks.Length; i++)
                        figures[(i + round) % talks.Length][round] = threads.Measure(talks[(i + round) % talks.Length], chains, depth);
                Harness.Row($"{NameOf(packed)}, depth {depth}", figures);
                foreach (Talk talk in talks)
                    talk.Dispose();
            }

        if (threads.Disturbed > 0)
            Console.WriteLine($"  {threads.Disturbed} runs were interrupted by other processes at every attempt, and count as they are.");
    }
}
