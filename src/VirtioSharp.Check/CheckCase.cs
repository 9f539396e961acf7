namespace VirtioSharp.Check;

/// <summary>One requirement, and how to find out whether a daemon meets it.</summary>
public sealed class CheckCase
{
    internal CheckCase(string name, string source, string requirement, Func<Bench, string> run, Needs needs = Needs.Nothing) =>
        (Name, Source, Requirement, Run, Needs) = (name, source, requirement, run, needs);

    /// <summary>What to call it by: lower case, with dashes.</summary>
    public string Name { get; }

    /// <summary>What the daemon has to do.</summary>
    public string Requirement { get; }

    /// <summary>Where that stands.</summary>
    public string Source { get; }

    /// <summary>What has to be given on the command line for it, in words; empty when nothing has to.</summary>
    public string Condition => string.Join(", ", Conditions());

    internal Needs Needs { get; }

    /// <summary>Returns what was seen when all was well, throws <see cref="FailedException"/> or <see cref="SkippedException"/> otherwise.</summary>
    internal Func<Bench, string> Run { get; }

    private IEnumerable<string> Conditions()
    {
        if (Needs.HasFlag(Needs.Block))
            yield return "--device blk";
        else if (Needs.HasFlag(Needs.Ring))
            yield return "--device rng or blk";
        if (Needs.HasFlag(Needs.Writing))
            yield return "--write";
        if (Needs.HasFlag(Needs.Danger))
            yield return "--dangerous";
    }
}

/// <summary>What a case cannot do without.</summary>
[Flags]
internal enum Needs
{
    Nothing = 0,
    /// <summary>Requests that we know how to make.</summary>
    Ring = 1,
    /// <summary>A disk.</summary>
    Block = 2 | Ring,
    /// <summary>Leave to change what is on it.</summary>
    Writing = 4,
    /// <summary>Leave to kill the daemon.</summary>
    Danger = 8,
}
