namespace VirtioSharp.Qemu;

/// <summary>What a guest is made of. Only the kernel is required; the defaults are what boots fastest without KVM.</summary>
public sealed record GuestOptions
{
    /// <summary>The kernel to boot.</summary>
    public required DebianKernel Kernel { get; init; }

    /// <summary>The busybox shell script that the guest runs once it is up; see <see cref="GuestJobs"/>.</summary>
    public string Job { get; init; } = "";

    /// <summary>Arguments for QEMU that make the devices: <c>["-object", "rng-builtin,id=r0", "-device", "virtio-rng-pci,rng=r0"]</c>.</summary>
    public IReadOnlyList<string> Devices { get; init; } = [];

    /// <summary>Modules to insert; <see cref="Initramfs.DefaultModules"/> if null.</summary>
    public IReadOnlyList<string>? Modules { get; init; }

    /// <summary>The emulator: a name to find in PATH, or a path.</summary>
    public string Qemu { get; init; } = HostTools.Qemu;

    /// <summary>QEMU's machine type, and options of it.</summary>
    public string Machine { get; init; } = "q35";

    /// <summary>QEMU's processor type. RDRAND spares the kernel a wait for entropy; <c>max</c> boots slower.</summary>
    public string Cpu { get; init; } = "qemu64,+rdrand";

    /// <summary>Number of processors.</summary>
    public int Processors { get; init; } = 1;

    /// <summary>Memory of the guest. It is always shared (memfd), which vhost-user needs.</summary>
    public int MemoryMiB { get; init; } = 256;

    /// <summary>More words for the kernel's command line.</summary>
    public string KernelArguments { get; init; } = "";

    /// <summary>Room on the results disk, by which the job hands over bulk data and remembers things across reboots. 0: no disk.</summary>
    public long ResultBytes { get; init; }

    /// <summary>Whether to open a QMP socket for <see cref="GuestMachine.ConnectQmpAsync"/>.</summary>
    public bool Qmp { get; init; }

    /// <summary>Whether a reboot ends QEMU instead of booting again.</summary>
    public bool ExitOnReboot { get; init; }

    /// <summary>How long the guest may take to say that it is up.</summary>
    public TimeSpan BootTimeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Called for each console line as it comes, on the thread that reads the console; must not block.</summary>
    public Action<GuestEvent>? OnEvent { get; init; }
}
