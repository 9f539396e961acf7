namespace VirtioSharp.Spec;

/// <summary>The feature bits that mean the same for every device (§6). Bits 0–23 and 50–127 are the device's own.</summary>
public static class Features
{
    /// <summary>No feature.</summary>
    public static FeatureSet None => default;

    /// <summary>Legacy: notify when the ring runs empty, even if notifications are suppressed (§6.3).</summary>
    public static FeatureSet NotifyOnEmpty { get; } = FeatureSet.Bit(24);

    /// <summary>Legacy: the device makes no assumption about message framing (§6.3).</summary>
    public static FeatureSet AnyLayout { get; } = FeatureSet.Bit(27);

    /// <summary>Descriptors may point at tables of descriptors (§2.7.5.3, §2.8.7).</summary>
    public static FeatureSet IndirectDesc { get; } = FeatureSet.Bit(28);

    /// <summary>used_event and avail_event replace the suppression flags (§2.7.7, §2.7.10).</summary>
    public static FeatureSet EventIdx { get; } = FeatureSet.Bit(29);

    /// <summary>Not legacy. A driver MUST accept it (§6.1).</summary>
    public static FeatureSet Version1 { get; } = FeatureSet.Bit(32);

    /// <summary>Addresses are the platform's (IOMMU), not plain guest-physical (§6).</summary>
    public static FeatureSet AccessPlatform { get; } = FeatureSet.Bit(33);

    /// <summary>Packed virtqueue layout (§2.8).</summary>
    public static FeatureSet RingPacked { get; } = FeatureSet.Bit(34);

    /// <summary>Buffers are used in the order in which they were made available (§2.7.9).</summary>
    public static FeatureSet InOrder { get; } = FeatureSet.Bit(35);

    /// <summary>Memory accesses are ordered as the platform says (§6).</summary>
    public static FeatureSet OrderPlatform { get; } = FeatureSet.Bit(36);

    /// <summary>Single-root I/O virtualisation (PCI).</summary>
    public static FeatureSet SrIov { get; } = FeatureSet.Bit(37);

    /// <summary>The driver sends extra data in its notifications (§2.9).</summary>
    public static FeatureSet NotificationData { get; } = FeatureSet.Bit(38);

    /// <summary>The driver notifies with data the device supplied, not with the queue index.</summary>
    public static FeatureSet NotifyConfigData { get; } = FeatureSet.Bit(39);

    /// <summary>One queue can be reset alone (§2.6.1).</summary>
    public static FeatureSet RingReset { get; } = FeatureSet.Bit(40);

    /// <summary>Administration virtqueue (PCI).</summary>
    public static FeatureSet AdminQueue { get; } = FeatureSet.Bit(41);

    /// <summary>The device can be suspended (specification 1.4).</summary>
    public static FeatureSet Suspend { get; } = FeatureSet.Bit(43);

    /// <summary>Bits that belong to the rings and the transport: a device never offers them itself.</summary>
    public static FeatureSet Reserved { get; } = new(((1UL << 50) - 1) & ~((1UL << 24) - 1));

    /// <summary>Bits that only a legacy driver may be offered (§6.3).</summary>
    public static FeatureSet LegacyOnly { get; } = NotifyOnEmpty | AnyLayout;

    /// <summary>The specification's name of a device-independent bit without VIRTIO_F_, or null for a device's own.</summary>
    public static string? NameOf(int bit) => bit switch
    {
        24 => "NOTIFY_ON_EMPTY",
        27 => "ANY_LAYOUT",
        28 => "INDIRECT_DESC",
        29 => "EVENT_IDX",
        30 => "PROTOCOL_FEATURES", // VIRTIO's "UNUSED"; only vhost-user negotiates it
        32 => "VERSION_1",
        33 => "ACCESS_PLATFORM",
        34 => "RING_PACKED",
        35 => "IN_ORDER",
        36 => "ORDER_PLATFORM",
        37 => "SR_IOV",
        38 => "NOTIFICATION_DATA",
        39 => "NOTIF_CONFIG_DATA",
        40 => "RING_RESET",
        41 => "ADMIN_VQ",
        43 => "SUSPEND",
        _ => null,
    };
}
