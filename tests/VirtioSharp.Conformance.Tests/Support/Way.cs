using VirtioSharp.Core.Driver;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>Whose device is at the other end, and what is between.</summary>
[Flags]
public enum Targets
{
    /// <summary>Our device, called.</summary>
    Loopback = 1,
    /// <summary>Our device halves of PCI and MMIO, in this process.</summary>
    InProcess = 2,
    /// <summary>QEMU's own devices: a q35 for PCI, a microvm for MMIO.</summary>
    Qemu = 4,
    /// <summary>QEMU's registers, and behind them our daemon.</summary>
    Daemon = 8,
    /// <summary>QEMU's devices in its other machines: a pc for PCI, an ARM virt for MMIO.</summary>
    QemuElsewhere = 16,
    /// <summary>Our daemon behind QEMU's ARM virt.</summary>
    DaemonElsewhere = 32,

    /// <summary>All whose device can be any: each interface once.</summary>
    AnyDevice = Loopback | InProcess | Qemu,
    /// <summary>Those that run QEMU.</summary>
    EveryQemu = Qemu | Daemon | QemuElsewhere | DaemonElsewhere,
    /// <summary>All of them.</summary>
    All = Loopback | InProcess | EveryQemu,
}

/// <summary>What a driver sees of its device.</summary>
public enum Personality
{
    /// <summary>Nothing but calls.</summary>
    Calls,
    /// <summary>Calls, by the rules of a legacy interface.</summary>
    LegacyCalls,
    /// <summary>A PCI function with capabilities only.</summary>
    Pci,
    /// <summary>The capabilities of a transitional function.</summary>
    TransitionalPci,
    /// <summary>The I/O BAR of a transitional function.</summary>
    TransitionalPciLegacy,
    /// <summary>A PCI function with an I/O BAR only.</summary>
    LegacyPci,
    /// <summary>A virtio-mmio window, version 2.</summary>
    Mmio,
    /// <summary>A virtio-mmio window, version 1.</summary>
    LegacyMmio,
}

/// <summary>One way from a driver to a device.</summary>
public sealed record Way(Targets Target, Personality Personality, bool Packed, InterruptKind Interrupts)
{
    /// <summary>Every way there is.</summary>
    public static IReadOnlyList<Way> All { get; } =
    [
        .. from target in Enum.GetValues<Targets>()
           where int.IsPow2((int)target)
           from personality in Enum.GetValues<Personality>()
           from packed in new[] { false, true }
           from interrupts in Enum.GetValues<InterruptKind>()
           let way = new Way(target, personality, packed, interrupts)
           where way.WhyNot is null
           select way,
    ];

    public bool IsPci => Personality is Personality.Pci or Personality.TransitionalPci or Personality.TransitionalPciLegacy or Personality.LegacyPci;

    public bool IsMmio => Personality is Personality.Mmio or Personality.LegacyMmio;

    public bool IsLegacy => Personality is Personality.LegacyCalls or Personality.LegacyPci or Personality.TransitionalPciLegacy or Personality.LegacyMmio;

    /// <summary>One of a device's two ways for a driver; the other tells the same story.</summary>
    public bool IsTransitional => Personality is Personality.TransitionalPci or Personality.TransitionalPciLegacy;

    public bool IsQemu => (Target & Targets.EveryQemu) != 0;

    public bool IsDaemon => Target is Targets.Daemon or Targets.DaemonElsewhere;

    /// <summary>The best kind of interrupt that the personality has.</summary>
    public InterruptKind BestInterrupts => IsMmio ? InterruptKind.Line : InterruptKind.VectorPerQueue;

    /// <summary>The column of the README's support table.</summary>
    public string Column => (IsQemu ? "QEMU 7.2 " : IsPci || IsMmio ? "in-process " : "loopback") + (IsPci, IsMmio, IsLegacy) switch
    {
        (true, _, false) => "PCI, modern",
        (true, _, true) => "PCI, legacy",
        (_, true, false) => "MMIO",
        (_, true, true) => "MMIO, legacy",
        _ => "",
    };

    /// <summary>Why there is no such way, or null.</summary>
    public string? WhyNot => this switch
    {
        { Packed: true, IsLegacy: true } => "a legacy interface has no packed ring (§2.8)",
        { IsMmio: true, Interrupts: not InterruptKind.Line } => "virtio-mmio has a line and nothing else (§4.2.2)",
        { IsMmio: false, IsPci: false, Target: not Targets.Loopback } or { Target: Targets.Loopback, IsMmio: true } or { Target: Targets.Loopback, IsPci: true } => "loopback is for calls, and calls need it",
        { Target: Targets.Loopback, Interrupts: not InterruptKind.VectorPerQueue } => "a call's notification is told by its name",
        { Target: Targets.Daemon, IsTransitional: true } or { Target: Targets.Daemon, Personality: Personality.LegacyPci } => "QEMU's vhost-user-rng-pci has no legacy interface",
        { Target: Targets.QemuElsewhere, IsPci: true } => Personality is Personality.TransitionalPci or Personality.LegacyPci ? null : "the pc is there for its chipset: two interfaces do",
        { Target: Targets.DaemonElsewhere, Personality: not Personality.Mmio } => "the ARM machine is there for its virtio-mmio",
        _ => null,
    };

    /// <summary><c>QEMU 7.2 PCI, modern: packed, Line</c>.</summary>
    public override string ToString()
    {
        string target = Target switch
        {
            Targets.Daemon => " (daemon)",
            Targets.QemuElsewhere => IsPci ? " (pc)" : " (ARM)",
            Targets.DaemonElsewhere => " (ARM, daemon)",
            _ => IsTransitional ? " (transitional)" : Personality == Personality.LegacyCalls ? " (legacy)" : "",
        };
        return $"{Column}{target}: {(Packed ? "packed" : "split")}, {Interrupts}";
    }
}
