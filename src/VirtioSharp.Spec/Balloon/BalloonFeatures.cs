namespace VirtioSharp.Spec.Balloon;

/// <summary>The memory balloon's feature bits (§5.5.3).</summary>
public static class BalloonFeatures
{
    /// <summary>The device is told before pages of the balloon are used.</summary>
    public static FeatureSet MustTellHost { get; } = FeatureSet.Bit(0);
    /// <summary>There is a statistics queue.</summary>
    public static FeatureSet Statistics { get; } = FeatureSet.Bit(1);
    /// <summary>The balloon may be deflated when memory runs out.</summary>
    public static FeatureSet DeflateOnOom { get; } = FeatureSet.Bit(2);
    /// <summary>There is a queue for hints on free pages, and free_page_hint_cmd_id.</summary>
    public static FeatureSet FreePageHint { get; } = FeatureSet.Bit(3);
    /// <summary>poison_val says what the driver writes to free pages.</summary>
    public static FeatureSet PagePoison { get; } = FeatureSet.Bit(4);
    /// <summary>There is a queue for reports of free pages.</summary>
    public static FeatureSet PageReporting { get; } = FeatureSet.Bit(5);
}
