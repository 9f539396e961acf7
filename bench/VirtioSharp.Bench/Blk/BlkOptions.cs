using System.Globalization;

namespace VirtioSharp.Bench.Blk;

/// <summary>What bench/blk was asked for.</summary>
/// <param name="Rounds">How often each daemon is measured.</param>
/// <param name="Seconds">How long each time.</param>
/// <param name="Markdown">Whether to print a table for a document.</param>
/// <param name="Words">Only rows that have all of these in their names.</param>
/// <param name="ServeOptions">More options for our daemon.</param>
internal sealed record BlkOptions(int Rounds, double Seconds, bool Markdown, string[] Words, string[] ServeOptions)
{
    /// <exception cref="FormatException">They are not understood.</exception>
    public static BlkOptions Parse(string[] arguments)
    {
        (int rounds, double seconds, bool markdown, List<string> words) = (5, 0.5, false, []);
        int at = 0;
        for (; at < arguments.Length && arguments[at] != "--"; at++)
        {
            switch (arguments[at])
            {
                case "--rounds":
                    rounds = int.Parse(Value(), CultureInfo.InvariantCulture);
                    break;
                case "--seconds":
                    seconds = double.Parse(Value(), CultureInfo.InvariantCulture);
                    break;
                case "--format":
                    markdown = Value() switch { "markdown" => true, "text" => false, var other => throw new FormatException($"--format {other}: give text or markdown") };
                    break;
                case ['-', ..] unknown:
                    throw new FormatException($"{unknown}: see bench/blk --help");
                default:
                    words.Add(arguments[at]);
                    break;
            }
        }

        if (rounds < 1 || seconds <= 0)
            throw new FormatException("--rounds and --seconds: give more than 0");
        return new(rounds, seconds, markdown, [.. words], arguments[Math.Min(at + 1, arguments.Length)..]);

        string Value() => ++at < arguments.Length ? arguments[at] : throw new FormatException($"{arguments[at - 1]}: give a value");
    }

    public bool Wants(BlkStore store, BlkWorkload workload) =>
        Array.TrueForAll(Words, word => $"{store.Name} {workload}".Contains(word, StringComparison.OrdinalIgnoreCase));
}
