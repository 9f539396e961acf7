namespace VirtioSharp.Qemu.Qtest;

/// <summary>Machines of QEMU whose devices can be driven over qtest.</summary>
public enum QtestMachineType
{
    /// <summary>PC with PCI Express (ICH9): configuration through memory or ports, INTx at an I/O APIC.</summary>
    Q35,

    /// <summary>PC with conventional PCI (i440FX, PIIX3): configuration through ports; devices can be plugged in without a bridge.</summary>
    Pc,

    /// <summary>The small PC without PCI: 24 virtio-mmio slots.</summary>
    MicroVm,

    /// <summary>QEMU's own 32-bit ARM machine: 32 virtio-mmio slots.</summary>
    ArmVirt,
}
