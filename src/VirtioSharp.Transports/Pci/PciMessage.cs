namespace VirtioSharp.Transports.Pci;

/// <summary>An MSI-X message: the function writes these 32 bits to that address.</summary>
public readonly record struct PciMessage(ulong Address, uint Data);
