using System.Globalization;
using System.Security.Cryptography;
using VirtioSharp.Fuzz.Coverage;
using VirtioSharp.Fuzz.Engine;

namespace VirtioSharp.Fuzz;

/// <summary>The instrumented process: fuzzes and tells what came of it.</summary>
internal sealed class Worker(Arguments arguments, ITarget target)
{
    public static string InputFile(string directory) => Path.Combine(directory, "input");

    public int Run()
    {
        using var current = new CurrentInput(InputFile(arguments.WorkDirectory!));
        var fuzzer = new Fuzzer(
            target,
            new FuzzerOptions { Seed = arguments.Seed, MostExecutions = arguments.Runs, MostTime = arguments.Time, Guided = !arguments.Unguided },
            current,
            new Watchdog());
        if (arguments.Corpus is { } corpus)
            Directory.CreateDirectory(corpus);

        Finding? finding = fuzzer.Run(Read(arguments.Seeds).Concat(Read(arguments.Corpus)), Keep);

        string[] blocks = File.ReadAllLines(Path.Combine(arguments.WorkDirectory!, Instrumenter.BlockList));
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{target.Name}: {fuzzer.Executions} executions, {fuzzer.PerSecond:F0}/s, {fuzzer.Corpus.Inputs.Count} inputs, {fuzzer.Corpus.Edges} edges, {CoverageMap.BlocksSeen} of {blocks.Length} blocks"));
        if (arguments.ShowUnseen)
            for (int i = 0; i < blocks.Length; i++)
                if (!CoverageMap.IsSeen(i))
                    Console.WriteLine($"unseen {blocks[i]}");
        if (finding is not null)
        {
            Write(arguments, finding);
            return 1;
        }

        if (arguments.WriteSeeds)
            WriteSeeds(fuzzer.Corpus);
        return 0;
    }

    /// <summary>Runs one input and lets whatever it finds out.</summary>
    public static int Replay(ITarget target, string file)
    {
        var watchdog = new Watchdog();
        watchdog.Next();
        try
        {
            target.Run(File.ReadAllBytes(file));
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            Console.WriteLine($"{target.Name}: {failure}");
            return 1;
        }

        watchdog.Rest();
        Console.WriteLine($"{target.Name}: nothing wrong with {file}");
        return 0;
    }

    public static void Write(Arguments arguments, Finding finding)
    {
        Directory.CreateDirectory(arguments.Findings);
        string file = Path.GetFullPath(Path.Combine(arguments.Findings, $"{arguments.Target}-{Name(finding.Input)}"));
        File.WriteAllBytes(file, finding.Input);
        Console.WriteLine($"""
            {arguments.Target}: found with {finding.Input.Length} bytes: {finding.Report}
            replay: fuzz/run --replay {file}
            """);
    }

    private static string Name(byte[] input) => Convert.ToHexStringLower(SHA256.HashData(input).AsSpan(0, 6));

    private static List<byte[]> Read(string? directory) =>
        Directory.Exists(directory) ? [.. Directory.GetFiles(directory).Order(StringComparer.Ordinal).Select(File.ReadAllBytes)] : [];

    private void Keep(byte[] input)
    {
        if (arguments.Corpus is { } corpus)
            File.WriteAllBytes(Path.Combine(corpus, Name(input)), input);
    }

    private void WriteSeeds(Corpus corpus)
    {
        List<byte[]> seeds = SeedWriter.Choose(target, corpus.Inputs, most: 60);
        Directory.CreateDirectory(arguments.Seeds!);
        foreach (string old in Directory.GetFiles(arguments.Seeds!))
            File.Delete(old);
        foreach (byte[] seed in seeds)
            File.WriteAllBytes(Path.Combine(arguments.Seeds!, Name(seed)), seed);
        Console.WriteLine($"{target.Name}: {seeds.Count} seeds, {seeds.Sum(seed => seed.Length)} bytes");
    }
}
