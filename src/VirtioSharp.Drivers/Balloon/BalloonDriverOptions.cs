using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;

namespace VirtioSharp.Drivers.Balloon;

/// <summary>A statistic that the driver supplies.</summary>
/// <param name="Tag">What it counts.</param>
/// <param name="Read">How much it is now.</param>
public readonly record struct BalloonStatisticSource(BalloonStatisticTag Tag, Func<ulong> Read);

/// <summary>How a memory balloon is driven.</summary>
public sealed record BalloonDriverOptions
{
    /// <summary>How the device counts its queues. Nothing that it shows tells which: its maker must be known.</summary>
    public BalloonQueueNumbers QueueNumbers { get; init; }

    /// <summary>The statistics to supply, always the same ones (§5.5.6.3.1); without any, the device gets none.</summary>
    public IReadOnlyList<BalloonStatisticSource> Statistics { get; init; } = [];

    /// <summary>What pages are filled with when they come back; null if they are left as they are.</summary>
    public uint? Poison { get; init; }

    /// <summary>The longest to wait for an answer.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Features not to accept, though understood.</summary>
    public FeatureSet Withheld { get; init; }
}
