namespace VirtioSharp.Qemu.Qtest;

/// <summary>What a machine without a guest is made of. The defaults do for one device.</summary>
public sealed record QtestOptions
{
    /// <summary>Which machine.</summary>
    public QtestMachineType Machine { get; init; } = QtestMachineType.Q35;

    /// <summary>More options of the machine: <c>["usb=off"]</c>.</summary>
    public IReadOnlyList<string> MachineOptions { get; init; } = [];

    /// <summary>Arguments for QEMU that make the devices: <c>["-object", "rng-builtin,id=r0", "-device", "virtio-rng-pci,rng=r0,addr=4"]</c>.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];

    /// <summary>Whether virtio-mmio slots show the legacy interface (version 1).</summary>
    public bool LegacyMmio { get; init; }

    /// <summary>Memory of the machine, in mebibytes. Pages are allocated when they are touched.</summary>
    public int MemoryMiB { get; init; } = 64;

    /// <summary>The emulator: a name to find in PATH, or a path. The machine's own if null.</summary>
    public string? Qemu { get; init; }

    /// <summary>How long QEMU may take to make the machine, and to answer each access after that.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);
}
