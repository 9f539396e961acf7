using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace VirtioSharp.Guest.Tests;

/// <summary>Guests whose entropy device is our daemon, or the reason why this machine cannot boot one.</summary>
internal static class Guests
{
    // Far beyond what any step takes, even with both cores busy; only a hang gets here.
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    private static readonly Lazy<bool> IsNew = new(() => HostTools.CanBootGuests(out _, out _) && VersionOfQemu() >= 10);

    /// <summary>Whether the QEMU in the path is 10 or later (tests/qemu-11/run): its vhost-user-rng behaves differently from 7.2's.</summary>
    public static bool QemuIsNew => IsNew.Value;

    public static GuestOptions On(string socketPath, string job, string device = "vhost-user-rng-pci") => Without(job) with
    {
        Devices = ["-chardev", $"socket,id=c0,path={socketPath}", "-device", $"{device},chardev=c0"],
    };

    /// <summary>The properties of a device whose memory accesses an IOMMU translates. One with a legacy interface must be without.</summary>
    public const string BehindIommu = ",iommu_platform=on,ats=on";

    /// <summary>The same guest with an IOMMU, which takes every translation back as soon as its buffer was used.</summary>
    public static GuestOptions WithIommu(GuestOptions options) => options with
    {
        Devices = ["-device", "intel-iommu,caching-mode=on,device-iotlb=on", .. options.Devices], // before the devices that it is for
        KernelArguments = "intel_iommu=on iommu.strict=1",
    };

    /// <summary>A guest without an entropy device.</summary>
    public static GuestOptions Without(string job) => new()
    {
        Kernel = KernelOrSkip(),
        Job = job,
        BootTimeout = Patience,
    };

    public static DebianKernel KernelOrSkip()
    {
        if (!HostTools.CanBootGuests(out DebianKernel? kernel, out string? whyNot))
            Assert.Skip(whyNot);
        return kernel;
    }

    /// <summary>Boots a guest that reads a little, and asserts that it could.</summary>
    public static async Task AssertServedAsync(string socketPath)
    {
        await using GuestMachine guest = GuestMachine.Start(On(socketPath, GuestJobs.RngThroughput(16384, rounds: 1)));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Patience, TestContext.Current.CancellationToken);

        Assert.Equal("virtio_rng.0", events.Single(line => line.Key == "rng-current").Value);
        Assert.StartsWith("16384 ", events.Single(line => line.Key == "read").Value, StringComparison.Ordinal);
    }

    private static int VersionOfQemu()
    {
        using Process process = Process.Start(new ProcessStartInfo(HostTools.Qemu, "--version") { RedirectStandardOutput = true })!;
        string said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return int.Parse(Regex.Match(said, "version ([0-9]+)").Groups[1].Value, CultureInfo.InvariantCulture);
    }
}
