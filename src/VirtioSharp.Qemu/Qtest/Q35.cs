using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>What the firmware of a q35 would do, as far as PCI needs it.</summary>
internal static class Q35
{
    private static readonly PciAddress MemoryController = new(0, 0);
    private const int ExpressBase = 0x60; // PCIEXBAR, 64 bits
    private const uint Enable256Buses = 1;
    private const int FirstLine = 20; // PIRQE, the fifth input after the sixteen of the ISA bus

    /// <summary>Makes configuration space appear in memory.</summary>
    public static void PlaceConfigurationSpace(QtestPciHost host, ulong start)
    {
        host.WriteByPorts(MemoryController, ExpressBase + 4, 4, (uint)(start >> 32));
        host.WriteByPorts(MemoryController, ExpressBase, 4, (uint)start | Enable256Buses);
    }

    /// <summary>The I/O APIC's input for a device of bus 0: slots take turns at the pins PIRQE to PIRQH.</summary>
    /// <param name="device">Below 25; the chipset's own devices beyond that are wired otherwise.</param>
    /// <param name="pin">1 INTA to 4 INTD.</param>
    public static int? LineOf(int device, int pin) => device < 25 ? FirstLine + ((device + pin - 1) & 3) : null;
}
