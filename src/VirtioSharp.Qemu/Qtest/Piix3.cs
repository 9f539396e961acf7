using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>What the firmware of a pc would do, as far as PCI needs it.</summary>
internal static class Piix3
{
    private static readonly PciAddress IsaBridge = new(0, 1);
    private const int Route = 0x60; // PIRQRC A–D, a byte each: the ISA interrupt, bit 7 disables
    private static readonly byte[] Interrupts = [5, 7, 10, 11]; // those that nothing else of this machine uses

    /// <summary>Leads the four PCI interrupts to ISA interrupts.</summary>
    public static void RouteInterrupts(QtestPciHost host)
    {
        for (int line = 0; line < Interrupts.Length; line++)
            host.WriteByPorts(IsaBridge, Route + line, 1, Interrupts[line]);
    }

    /// <summary>The interrupt of a device of bus 0: slots take turns, and slot 1 begins.</summary>
    /// <param name="device">The slot.</param>
    /// <param name="pin">1 INTA to 4 INTD.</param>
    public static int LineOf(int device, int pin) => Interrupts[(device + pin - 2) & 3];
}
