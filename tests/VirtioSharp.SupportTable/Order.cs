namespace VirtioSharp.SupportTable;

/// <summary>The order of the table's rows and columns. What a test names and this list does not comes after, by name.</summary>
internal static class Order
{
    public static readonly string[] Features =
    [
        "Entropy (rng)",
        "Split ring",
        "Split ring, INDIRECT_DESC",
        "Split ring, EVENT_IDX",
        "Packed ring",
        "Packed ring, INDIRECT_DESC",
        "Packed ring, EVENT_IDX",
    ];

    public static readonly string[] Transports =
    [
        "loopback",
        "PCI, modern",
        "PCI, legacy",
        "MMIO",
        "vhost-user",
        "QEMU",
    ];

    /// <summary>The names in use, listed ones first.</summary>
    public static IReadOnlyList<string> Apply(string[] listed, IEnumerable<string> used)
    {
        HashSet<string> names = [.. used];
        return [.. listed.Where(names.Contains), .. names.Except(listed).Order(StringComparer.Ordinal)];
    }
}
