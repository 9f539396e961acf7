namespace VirtioSharp.Qemu.Qtest;

/// <summary>What is different from machine to machine.</summary>
/// <param name="Emulator">Its program.</param>
/// <param name="Package">Where Debian has it.</param>
/// <param name="Machine">QEMU's name of it.</param>
/// <param name="Firmware">What its processor does.</param>
/// <param name="MemoryStart">Address of its RAM.</param>
/// <param name="Controller">The interrupt controller that devices interrupt: its QOM type.</param>
/// <param name="ControllerIn">Where that is looked for in QEMU's object tree.</param>
/// <param name="MmioStart">Address of virtio-mmio slot 0.</param>
/// <param name="MmioSlots">How many virtio-mmio slots there are.</param>
/// <param name="MmioInterrupt">The controller's input for slot 0.</param>
internal sealed record QtestMachineFacts(
    string Emulator,
    string Package,
    string Machine,
    HaltRom Firmware,
    ulong MemoryStart,
    string Controller,
    string ControllerIn,
    ulong MmioStart = 0,
    int MmioSlots = 0,
    int MmioInterrupt = 0)
{
    /// <summary>Bytes from one virtio-mmio slot to the next.</summary>
    public const int MmioSlotBytes = 512;

    private const string X86 = "qemu-system-x86";

    public static QtestMachineFacts Of(QtestMachineType type) => type switch
    {
        QtestMachineType.Q35 => new(HostTools.Qemu, X86, "q35", HaltRom.X86, 0, "ioapic", "/machine/q35"),
        QtestMachineType.Pc => new(HostTools.Qemu, X86, "pc", HaltRom.X86, 0, "ioapic", "/machine/i440fx"),
        // Its first I/O APIC is a child of the machine itself; the slots are at the second one.
        QtestMachineType.MicroVm => new(
            HostTools.Qemu, X86, "microvm", HaltRom.X86, 0, "ioapic", "/machine/unattached", 0xFEB0_0000, MmioSlots: 24),
        QtestMachineType.ArmVirt => new(
            "qemu-system-arm", "qemu-system-arm", "virt", HaltRom.Arm, 0x4000_0000, "arm_gic", "/machine/unattached", 0x0A00_0000, 32, 16),
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, "no such machine"),
    };
}
