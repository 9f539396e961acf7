namespace VirtioSharp.SupportTable;

/// <summary>The order of the table's rows and columns. What a test names and this list does not comes after, by name.</summary>
internal static class Order
{
    public static readonly string[] Features =
    [
        "Entropy device",
        "Entropy driver",
        "Block device",
        "Block driver",
        "Balloon driver",
        "Console driver",
        "Rate limit",
        "Split ring",
        "Packed ring",
        "Legacy interface",
        "Legacy ring layout",
        "INDIRECT_DESC",
        "EVENT_IDX",
        "IN_ORDER",
        "NOTIFY_ON_EMPTY",
        "NOTIFICATION_DATA",
        "RING_RESET",
        "MSI-X",
        "INTx",
        "Line interrupt",
        "Doorbells",
        "Several queues",
        "Chains in flight",
        "Snapshot and restore",
        "Driver core",
        "Hot plug",
        "Freeze and restore",
        "Enumeration",
        "Reset and status",
        "Configuration space",
        "Configuration change",
        "Feature negotiation",
        "NEEDS_RESET",
        "Hostile driver",
        "Hostile device",
        "Hostile front-end",
        "Hostile back-end",
        "Front-end for drivers",
        "No allocation per request",
        "Proxy",
        "Reconnect",
        "In-flight tracking",
        "In-flight recovery",
        "REPLY_ACK",
        "MQ",
        "CONFIG",
        "CONFIGURE_MEM_SLOTS",
        "STATUS",
        "RESET_DEVICE",
        "BACKEND_REQ",
        "GET_VRING_BASE_INFLIGHT",
        "DEVICE_STATE",
        "INBAND_NOTIFICATIONS",
        "GPA_ADDRESSES",
        "ACCESS_PLATFORM (IOTLB)",
    ];

    public static readonly string[] Transports =
    [
        "in process",
        "loopback",
        "in-process PCI, modern",
        "in-process PCI, legacy",
        "in-process MMIO",
        "in-process MMIO, legacy",
        "QEMU 7.2 PCI, modern",
        "QEMU 7.2 PCI, legacy",
        "QEMU 7.2 MMIO",
        "QEMU 7.2 MMIO, legacy",
        "vhost-user",
        "qemu-storage-daemon 7.2",
        "QEMU 7.2, Linux guest",
    ];

    /// <summary>The names in use, listed ones first.</summary>
    public static IReadOnlyList<string> Apply(string[] listed, IEnumerable<string> used)
    {
        HashSet<string> names = [.. used];
        return [.. listed.Where(names.Contains), .. names.Except(listed).Order(StringComparer.Ordinal)];
    }
}
