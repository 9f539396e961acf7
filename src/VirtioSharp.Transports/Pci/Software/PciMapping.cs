namespace VirtioSharp.Transports.Pci.Software;

/// <summary>A BAR where it is decoded.</summary>
/// <param name="Start">The first address, in the space that the BAR's kind says.</param>
/// <param name="Bar">What answers there.</param>
public readonly record struct PciMapping(ulong Start, PciBar Bar);
