namespace VirtioSharp.Transports.Pci;

/// <summary>A function that a scan of the bus saw.</summary>
/// <param name="Address">Where.</param>
/// <param name="Identity">What it says it is.</param>
public readonly record struct PciBusEntry(PciAddress Address, PciFunctionIdentity Identity);

/// <summary>What has changed since the scan before.</summary>
/// <param name="Added">New functions.</param>
/// <param name="Removed">Functions that are gone, also those in whose place another one is now.</param>
public sealed record PciScan(IReadOnlyList<PciBusEntry> Added, IReadOnlyList<PciBusEntry> Removed);
