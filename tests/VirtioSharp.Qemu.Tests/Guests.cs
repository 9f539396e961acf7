namespace VirtioSharp.Qemu.Tests;

/// <summary>Options for a guest with QEMU's own entropy device, or the reason why this machine cannot boot one.</summary>
internal static class Guests
{
    public static readonly string[] QemusOwnRng = ["-object", "rng-builtin,id=rng0", "-device", "virtio-rng-pci,rng=rng0"];

    // Far beyond what any step takes, even with both cores busy; only a hang gets here.
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    public static GuestOptions WithRng(string job, long resultBytes = 0) => new()
    {
        Kernel = KernelOrSkip(),
        Job = job,
        Devices = QemusOwnRng,
        ResultBytes = resultBytes,
        BootTimeout = Patience,
    };

    public static DebianKernel KernelOrSkip()
    {
        if (!HostTools.CanBootGuests(out DebianKernel? kernel, out string? whyNot))
            Assert.Skip(whyNot);
        return kernel;
    }
}
