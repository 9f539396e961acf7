using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver;

/// <summary>What a driver knows to do with features (§2.2). Those of the rings are the session's business.</summary>
/// <param name="Wanted">The device features that it understands.</param>
public sealed record DriverFeatures(FeatureSet Wanted = default)
{
    /// <summary>What it understands of a legacy device, when that is not the same: some old bits mean other things, or nothing.</summary>
    public FeatureSet? LegacyWanted { get; init; }

    /// <summary>Features not to accept, though understood.</summary>
    public FeatureSet Withheld { get; init; }

    /// <summary>What it cannot do without: without them the device is given up (FAILED).</summary>
    public FeatureSet Required { get; init; }

    /// <summary>
    /// Looks at the offered features and at the configuration, and returns the device features that may be accepted: a driver may
    /// read configuration space, and not write it, before it accepts the device (§3.1.1). May be called more than once.
    /// </summary>
    public Func<FeatureSet, ConfigurationReader, FeatureSet>? Validate { get; init; }
}
