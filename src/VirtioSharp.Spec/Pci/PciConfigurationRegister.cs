namespace VirtioSharp.Spec.Pci;

/// <summary>Offsets in the configuration space of a PCI function (PCI Local Bus 3.0 §6.1, header type 0).</summary>
public static class PciConfigurationRegister
{
    /// <summary>16 bits; 0xFFFF where there is no function.</summary>
    public const int VendorId = 0x00;
    /// <summary>16 bits.</summary>
    public const int DeviceId = 0x02;
    /// <summary>16 bits; see <see cref="PciCommand"/>.</summary>
    public const int Command = 0x04;
    /// <summary>16 bits; see <see cref="PciStatus"/>.</summary>
    public const int Status = 0x06;
    /// <summary>8 bits.</summary>
    public const int Revision = 0x08;
    /// <summary>24 bits: programming interface, subclass, class.</summary>
    public const int ClassCode = 0x09;
    /// <summary>8 bits: bit 7 says that there are more functions, the others the layout of what follows.</summary>
    public const int HeaderType = 0x0E;
    /// <summary>The first of six 32-bit base address registers.</summary>
    public const int Bar0 = 0x10;
    /// <summary>In the header type: the device has functions beside this one.</summary>
    public const byte MultiFunction = 0x80;
    /// <summary>16 bits.</summary>
    public const int SubsystemVendorId = 0x2C;
    /// <summary>16 bits.</summary>
    public const int SubsystemId = 0x2E;
    /// <summary>8 bits: where the list of capabilities starts.</summary>
    public const int CapabilityPointer = 0x34;
    /// <summary>8 bits, for software's own use.</summary>
    public const int InterruptLine = 0x3C;
    /// <summary>8 bits: 0 none, 1 INTA … 4 INTD.</summary>
    public const int InterruptPin = 0x3D;
    /// <summary>Behind the header, where capabilities may lie.</summary>
    public const int FirstCapability = 0x40;
    /// <summary>Bytes of conventional configuration space.</summary>
    public const int Size = 256;

    /// <summary>Where base address register <paramref name="bar"/> is, 0–5.</summary>
    public static int Bar(int bar) => Bar0 + 4 * bar;
}

/// <summary>The command register (PCI 3.0 §6.2.2).</summary>
[Flags]
public enum PciCommand : ushort
{
    /// <summary>The function answers to nothing but configuration accesses.</summary>
    None = 0,
    /// <summary>It answers in I/O space.</summary>
    IoSpace = 1 << 0,
    /// <summary>It answers in memory space.</summary>
    MemorySpace = 1 << 1,
    /// <summary>It may read and write memory, and send MSI-X messages.</summary>
    BusMaster = 1 << 2,
    /// <summary>It does not raise its INTx line.</summary>
    InterruptDisable = 1 << 10,
}

/// <summary>The status register (PCI 3.0 §6.2.3).</summary>
[Flags]
public enum PciStatus : ushort
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>The function wants its INTx line raised.</summary>
    Interrupt = 1 << 3,
    /// <summary>There is a list of capabilities.</summary>
    CapabilityList = 1 << 4,
}
