namespace VirtioSharp.Check;

/// <summary>What to check, and how far to go.</summary>
public sealed record CheckOptions
{
    /// <summary>The daemon's socket.</summary>
    public required string SocketPath { get; init; }

    /// <summary>What the daemon serves: <c>rng</c> and <c>blk</c> are sent requests; of any other only the handshake is checked.</summary>
    public string? Device { get; init; }

    /// <summary>How long to wait for an answer that must come.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Whether a disk may be written to. What was there is put back if the daemon lives.</summary>
    public bool MayWrite { get; init; }

    /// <summary>Whether to do what kills most daemons.</summary>
    public bool Dangerous { get; init; }

    /// <summary>Starts the daemon, at first and again whenever it has died; null when somebody else does.</summary>
    public DaemonCommand? Daemon { get; init; }
}
