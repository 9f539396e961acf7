namespace VirtioSharp.Measure;

/// <summary>Where a run is.</summary>
internal enum LoadPhase
{
    /// <summary>Requests are sent, and not counted.</summary>
    WarmUp,
    /// <summary>Requests are counted.</summary>
    Measure,
    /// <summary>No new requests; those in flight are awaited.</summary>
    Drain,
    /// <summary>The device is lost, or takes too long: nothing is awaited.</summary>
    Abandon,
}

/// <summary>Tells the lanes what counts. Read by each for every batch, written three times in a run.</summary>
internal sealed class LoadWindow
{
    private volatile LoadPhase _phase;

    public LoadPhase Phase
    {
        get => _phase;
        set => _phase = value;
    }

    /// <summary>A lane has ended, well or not.</summary>
    public AutoResetEvent Changed { get; } = new(false);
}
