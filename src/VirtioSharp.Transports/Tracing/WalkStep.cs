namespace VirtioSharp.Transports.Tracing;

/// <summary>One step on a request's way.</summary>
public sealed class WalkStep
{
    internal WalkStep(WalkSide side, string name, string section, int depth, TimeSpan start) =>
        (Side, Name, Section, Depth, Start) = (side, name, section, depth, start);

    /// <summary>Whose work it is.</summary>
    public WalkSide Side { get; }

    /// <summary>What is done, in the words of the field: "find_vqs", "add", "pop".</summary>
    public string Name { get; }

    /// <summary>Where the specification has it; empty where it is silent.</summary>
    public string Section { get; }

    /// <summary>0 for the outermost steps.</summary>
    public int Depth { get; }

    /// <summary>From the beginning of the walk; what the tracing itself took is not counted.</summary>
    public TimeSpan Start { get; }

    /// <summary>How long it took, with what it contains.</summary>
    public TimeSpan Duration { get; internal set; }

    /// <summary>The register or the memory that it touched, and other things to know, a line each.</summary>
    public IReadOnlyList<string> Details => Lines;

    internal List<string> Lines { get; } = [];

    /// <inheritdoc/>
    public override string ToString() => $"{Side} {Name} {Section}".TrimEnd();
}
