namespace VirtioSharp.Transports.Pci.Software;

/// <summary>What a function says it is (PCI 3.0 §6.2.1).</summary>
/// <param name="Vendor">Vendor id.</param>
/// <param name="Device">Device id.</param>
/// <param name="SubsystemVendor">Subsystem vendor id.</param>
/// <param name="Subsystem">Subsystem id.</param>
/// <param name="Revision">Revision id.</param>
/// <param name="Class">24 bits: class, subclass, programming interface.</param>
public readonly record struct PciIdentity(ushort Vendor, ushort Device, ushort SubsystemVendor, ushort Subsystem, byte Revision, uint Class);
