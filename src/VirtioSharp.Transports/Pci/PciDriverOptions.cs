namespace VirtioSharp.Transports.Pci;

/// <summary>How <see cref="PciDrivers.Open"/> goes about a device.</summary>
public sealed record PciDriverOptions
{
    /// <summary>Which of its interfaces to use.</summary>
    public PciInterface Interface { get; init; }

    /// <summary>
    /// Whether to reach the modern registers through the PCI configuration access capability (§4.1.4.9) instead of the BARs: slow,
    /// but a carrier that has only configuration space can do it. The MSI-X table is out of its reach.
    /// </summary>
    public bool ThroughConfigurationSpace { get; init; }
}

/// <summary>The register interfaces that a virtio function can have.</summary>
public enum PciInterface
{
    /// <summary>The modern one, or the legacy one of a transitional device that has no other.</summary>
    Best,

    /// <summary>Structures that capabilities point to (§4.1.4).</summary>
    Modern,

    /// <summary>The I/O registers of BAR 0 (§4.1.4.10): what transitional devices have.</summary>
    Legacy,
}
