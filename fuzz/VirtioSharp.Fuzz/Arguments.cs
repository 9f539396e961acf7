using System.Globalization;
using VirtioSharp.Fuzz.Targets;

namespace VirtioSharp.Fuzz;

/// <summary>The command line.</summary>
internal sealed record Arguments
{
    public static string HelpText => $"""
        Usage: fuzz/run TARGET [SECONDS] [OPTION]...
               fuzz/run --replay FILE

        Fuzzes one end of a ring, guided by the coverage of VirtioSharp.Core, until something is
        found or the time is over. TARGET: {string.Join(", ", TargetList.Names)}.

          --runs N        stop after so many executions
          --seed N        of the random numbers (default 1): the same seed, corpus and N do the same
          --corpus DIR    where inputs with new coverage are kept and read again
          --seeds DIR     more inputs to begin with; nothing is written there
          --findings DIR  where to put what breaks a rule (default: the current directory)
          --unguided      keep no inputs: chance alone
          --write-seeds   at the end write few inputs that cover what was covered to --seeds
          --show-unseen   list the blocks that no input reached
          --replay FILE   run one input without instrumentation, and say what comes of it
          --help          this text

        Exit code: 0 nothing found, 1 a finding, 2 wrong usage.
        """;

    public string Target { get; private set; } = "";

    public TimeSpan Time { get; private set; } = TimeSpan.FromSeconds(60);

    public long Runs { get; private set; } = long.MaxValue;

    public int Seed { get; private set; } = 1;

    public string? Corpus { get; private set; }

    public string? Seeds { get; private set; }

    public string Findings { get; private set; } = ".";

    public bool Unguided { get; private set; }

    public bool WriteSeeds { get; private set; }

    public bool ShowUnseen { get; private set; }

    public string? Replay { get; private set; }

    public bool Help { get; private set; }

    /// <summary>Where the launcher put the instrumented program: this process is the worker.</summary>
    public string? WorkDirectory { get; private set; }

    public static Arguments Parse(string[] args)
    {
        var parsed = new Arguments();
        var plain = new List<string>();
        for (int i = 0; i < args.Length; i++)
        {
            string option = args[i];
            string Value() => ++i < args.Length ? args[i] : throw new UsageException($"{option} wants a value");
            switch (option)
            {
                case "--runs": parsed.Runs = Number(option, Value()); break;
                case "--seed": parsed.Seed = (int)Number(option, Value()); break;
                case "--corpus": parsed.Corpus = Value(); break;
                case "--seeds": parsed.Seeds = Value(); break;
                case "--findings": parsed.Findings = Value(); break;
                case "--unguided": parsed.Unguided = true; break;
                case "--write-seeds": parsed.WriteSeeds = true; break;
                case "--show-unseen": parsed.ShowUnseen = true; break;
                case "--replay": parsed.Replay = Value(); break;
                case "--worker": parsed.WorkDirectory = Value(); break;
                case "--help" or "-h": parsed.Help = true; break;
                default:
                    if (option.StartsWith('-'))
                        throw new UsageException($"there is no option {option}");
                    plain.Add(option);
                    break;
            }
        }

        if (parsed.Help)
            return parsed;
        if (parsed.Replay is { } file && plain.Count == 0)
            plain.Add(TargetList.Names.FirstOrDefault(name => Path.GetFileName(file).StartsWith(name + "-", StringComparison.Ordinal))
                ?? throw new UsageException($"name the target, too: {file} does not begin with it"));
        if (plain.Count is 0 or > 2)
            throw new UsageException("name one target");
        parsed.Target = plain[0];
        if (plain.Count == 2)
            parsed.Time = TimeSpan.FromSeconds(Number("SECONDS", plain[1]));
        if (parsed.WriteSeeds && parsed.Seeds is null)
            throw new UsageException("--write-seeds wants --seeds");
        return parsed;
    }

    private static long Number(string option, string value) =>
        long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number > 0 && (option is "--runs" || number <= int.MaxValue)
            ? number
            : throw new UsageException($"{option} {value} is not a positive number");
}

/// <summary>The command line makes no sense.</summary>
internal sealed class UsageException(string message) : Exception(message);
