namespace VirtioSharp.Spec.Pci;

/// <summary>Kinds of PCI capabilities that matter here.</summary>
public enum PciCapabilityId : byte
{
    /// <summary>Vendor-specific: a virtio structure (§4.1.4).</summary>
    Vendor = 0x09,
    /// <summary>MSI-X.</summary>
    MsiX = 0x11,
}
