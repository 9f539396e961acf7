namespace VirtioSharp.Spec.Block;

/// <summary>The block device's feature bits (§5.2.3).</summary>
public static class BlockFeatures
{
    /// <summary>size_max is the most bytes of one segment.</summary>
    public static FeatureSet SizeMax { get; } = FeatureSet.Bit(1);
    /// <summary>seg_max is the most segments of one request.</summary>
    public static FeatureSet SegMax { get; } = FeatureSet.Bit(2);
    /// <summary>geometry is valid.</summary>
    public static FeatureSet Geometry { get; } = FeatureSet.Bit(4);
    /// <summary>The device is read-only.</summary>
    public static FeatureSet ReadOnly { get; } = FeatureSet.Bit(5);
    /// <summary>blk_size is valid.</summary>
    public static FeatureSet BlockSize { get; } = FeatureSet.Bit(6);
    /// <summary>FLUSH is served; in the legacy interface also called WCE.</summary>
    public static FeatureSet Flush { get; } = FeatureSet.Bit(9);
    /// <summary>topology is valid.</summary>
    public static FeatureSet Topology { get; } = FeatureSet.Bit(10);
    /// <summary>writeback can be read and written.</summary>
    public static FeatureSet ConfigWriteback { get; } = FeatureSet.Bit(11);
    /// <summary>There are num_queues queues.</summary>
    public static FeatureSet MultiQueue { get; } = FeatureSet.Bit(12);
    /// <summary>DISCARD is served.</summary>
    public static FeatureSet Discard { get; } = FeatureSet.Bit(13);
    /// <summary>WRITE_ZEROES is served.</summary>
    public static FeatureSet WriteZeroes { get; } = FeatureSet.Bit(14);
    /// <summary>GET_LIFETIME is served.</summary>
    public static FeatureSet Lifetime { get; } = FeatureSet.Bit(15);
    /// <summary>SECURE_ERASE is served.</summary>
    public static FeatureSet SecureErase { get; } = FeatureSet.Bit(16);
    /// <summary>The device follows a zoned model.</summary>
    public static FeatureSet Zoned { get; } = FeatureSet.Bit(17);
}
