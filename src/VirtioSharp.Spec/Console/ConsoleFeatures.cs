namespace VirtioSharp.Spec.Console;

/// <summary>The console's feature bits (§5.3.3).</summary>
public static class ConsoleFeatures
{
    /// <summary>cols and rows are valid.</summary>
    public static FeatureSet Size { get; } = FeatureSet.Bit(0);
    /// <summary>There are several ports, and control queues.</summary>
    public static FeatureSet MultiPort { get; } = FeatureSet.Bit(1);
    /// <summary>emerg_wr can be written at any time.</summary>
    public static FeatureSet EmergencyWrite { get; } = FeatureSet.Bit(2);
}
