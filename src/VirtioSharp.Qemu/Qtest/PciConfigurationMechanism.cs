namespace VirtioSharp.Qemu.Qtest;

/// <summary>How configuration space is reached.</summary>
public enum PciConfigurationMechanism
{
    /// <summary>An address port and a data port, 0xCF8 and 0xCFC (PCI 3.0 §3.2.2.3.2). Every PC has it.</summary>
    Ports,

    /// <summary>As memory, 4 KiB a function (PCI Express 5.0 §7.2.2). q35 has it; one access in place of two.</summary>
    Memory,
}
