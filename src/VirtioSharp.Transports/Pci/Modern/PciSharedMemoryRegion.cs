namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>A shared memory region of a device (§2.10, §4.1.4.7).</summary>
/// <param name="Id">Which one; the device type says what it is for.</param>
/// <param name="Bar">The BAR it lies in.</param>
/// <param name="Offset">Where in it.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct PciSharedMemoryRegion(byte Id, int Bar, ulong Offset, ulong Length);
