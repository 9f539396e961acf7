namespace VirtioSharp.Cli.Demo;

/// <summary>What is between the demo's driver and its device.</summary>
internal enum DemoTransport
{
    /// <summary>virtio-pci with its capabilities, on a bus in this process.</summary>
    Pci,
    /// <summary>virtio-pci of before the specification: an I/O BAR.</summary>
    PciLegacy,
    /// <summary>A virtio-mmio window.</summary>
    Mmio,
    /// <summary>A virtio-mmio window, version 1.</summary>
    MmioLegacy,
    /// <summary>Nothing: calls.</summary>
    Loopback,
    /// <summary>virtio-pci of a real QEMU, whose device it is then.</summary>
    Qemu,
}
