namespace VirtioSharp.Measure;

/// <summary>What to ask of a disk, and how much of it at once.</summary>
public sealed record BlockLoadOptions
{
    /// <summary>How many of a hundred requests are reads; the others destroy what is on the disk.</summary>
    public int ReadPercent { get; init; } = 100;

    /// <summary>Whether requests are anywhere; otherwise each follows the one before, from the start again after the last.</summary>
    public bool IsRandom { get; init; } = true;

    /// <summary>Bytes of a request: a multiple of the disk's block.</summary>
    public int BlockBytes { get; init; } = 4096;

    /// <summary>Requests that each queue always has in flight.</summary>
    public int Depth { get; init; } = 1;

    /// <summary>Queues, each with a thread of its own.</summary>
    public int Queues { get; init; } = 1;

    /// <summary>Where the part of the disk begins that is used, in bytes.</summary>
    public long Offset { get; init; }

    /// <summary>How long it is; null: to the end of the disk.</summary>
    public long? Bytes { get; init; }

    /// <summary>Whether threads look for answers all the time instead of sleeping until there is one.</summary>
    public bool Poll { get; init; }
}
