using System.Diagnostics;
using VirtioSharp.Fuzz.Coverage;

namespace VirtioSharp.Fuzz.Engine;

/// <summary>The loop: pick an input, change it, run it, and keep it when it went where none had been.</summary>
internal sealed class Fuzzer(ITarget target, FuzzerOptions options, CurrentInput current, Watchdog watchdog)
{
    private readonly Random _random = new(options.Seed);
    private readonly Corpus _corpus = new();
    private readonly Stopwatch _clock = Stopwatch.StartNew();

    public Corpus Corpus => _corpus;

    public long Executions { get; private set; }

    public double PerSecond => Executions / Math.Max(_clock.Elapsed.TotalSeconds, 1e-3);

    /// <summary>Runs until something is found or the budget is used up.</summary>
    /// <returns>The first finding, minimised, or null.</returns>
    public Finding? Run(IEnumerable<byte[]> seeds, Action<byte[]> onNew)
    {
        // What runs only once in a process (static constructors) must not look like coverage of the first input.
        for (int i = 0; i < 2; i++)
            target.Run([]);

        byte[] noise = new byte[Math.Min(256, target.MaxLength)];
        _random.NextBytes(noise);
        foreach (byte[] seed in seeds.Append([]).Append(new byte[Math.Min(64, target.MaxLength)]).Append(noise))
        {
            if (Try(seed, out bool isNew) is { } finding)
                return finding;
            if (isNew || _corpus.Inputs.Count == 0)
                _corpus.Add(seed);
        }

        var mutator = new Mutator(_random, target.MaxLength);
        while (Executions < options.MostExecutions && _clock.Elapsed < options.MostTime)
        {
            ReadOnlySpan<byte> input = mutator.Mutate(_corpus.Pick(_random), _corpus.Inputs[_random.Next(_corpus.Inputs.Count)]);
            if (Try(input, out bool isNew) is { } finding)
                return finding;
            if (!isNew || !options.Guided)
                continue;
            _corpus.Add(input);
            onNew(_corpus.Inputs[^1]);
        }

        watchdog.Rest();
        return null;
    }

    private Finding? Try(ReadOnlySpan<byte> input, out bool isNew)
    {
        isNew = false;
        if (Execute(input) is { } failure)
            return Minimise(input.ToArray(), failure);
        isNew = _corpus.Note(CoverageMap.Counts);
        return null;
    }

    private Exception? Execute(ReadOnlySpan<byte> input)
    {
        Executions++;
        current.Set(input);
        watchdog.Next();
        CoverageMap.Clear();
        try
        {
            target.Run(input);
            return null;
        }
        catch (Exception failure) when (failure is not OutOfMemoryException)
        {
            return failure;
        }
    }

    private Finding Minimise(byte[] input, Exception failure)
    {
        byte[] smaller = Minimiser.Minimise(input, shorter => Execute(shorter) is { } other && IsSame(failure, other), tries: 5000);
        failure = Execute(smaller) ?? failure;
        watchdog.Rest();
        return new Finding(smaller, failure.ToString());
    }

    /// <summary>Numbers in the message may differ.</summary>
    private static bool IsSame(Exception one, Exception other) =>
        one.GetType() == other.GetType() && Words(one.Message).SequenceEqual(Words(other.Message));

    private static IEnumerable<char> Words(string message) => message.Where(c => !char.IsAsciiHexDigit(c));
}

/// <summary>How far to go.</summary>
internal sealed record FuzzerOptions
{
    public int Seed { get; init; } = 1;

    public long MostExecutions { get; init; } = long.MaxValue;

    public TimeSpan MostTime { get; init; } = TimeSpan.MaxValue;

    /// <summary>Whether inputs with new coverage are kept. Without it the seeds are all there is to mutate.</summary>
    public bool Guided { get; init; } = true;
}

/// <summary>An input that breaks a rule, and how.</summary>
internal sealed record Finding(byte[] Input, string Report);
