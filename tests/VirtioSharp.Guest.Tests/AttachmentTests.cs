namespace VirtioSharp.Guest.Tests;

/// <summary>The ways in which QEMU can attach a vhost-user device to a guest, right and wrong.</summary>
[Proves("Entropy device", "QEMU 7.2, Linux guest")]
public sealed class AttachmentTests : IDisposable
{
    private const int Indirect = 28;
    private const int EventIdx = 29;
    private const int Version1 = 32;
    private const int AccessPlatform = 33;
    private const int RingPacked = 34;

    // As much as the guest can show on its console, where there is no disk.
    private const int Bytes = 2048;

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private static string ShowBytes => $"""
        vio rng-current $(cat /sys/class/misc/hw_random/rng_current)
        dd if=/dev/hwrng of=/tmp/random bs={Bytes} count=1 iflag=fullblock 2>/dev/null || exit
        vio bytes $(od -An -v -tx1 /tmp/random | tr -d ' \n')
        """;

    private string SocketPath => _directory["sock"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    [Proves("INDIRECT_DESC", "QEMU 7.2, Linux guest")]
    [Proves("EVENT_IDX", "QEMU 7.2, Linux guest")]
    public async Task As_QEMU_does_it_if_nothing_is_said()
    {
        Report report = await AttachAsync(Guest());

        Assert.Equal(Accepted(Indirect, EventIdx, Version1), report.Features);
        Assert.True(report.Messages("ADD_MEM_REG") > 0);
    }

    [Fact]
    [Proves("Split ring", "QEMU 7.2, Linux guest")]
    public async Task Without_the_optional_features_of_the_ring()
    {
        Report report = await AttachAsync(Guest("vhost-user-rng-pci,packed=off,event_idx=off,indirect_desc=off"));

        Assert.Equal(Accepted(Version1), report.Features);
    }

    // This is also the legacy driver's proof: QEMU's vhost-user-rng-pci is modern only.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Over_MMIO_in_a_microvm(bool modern)
    {
        GuestOptions options = Guest("vhost-user-rng");
        if (!File.ReadAllText(Path.Combine(options.Kernel.Modules, "modules.dep")).Contains("/virtio_mmio.ko", StringComparison.Ordinal))
            Assert.Skip($"kernel {options.Kernel.Release} has no module virtio_mmio");

        Report report = await AttachAsync(options with
        {
            Machine = "microvm",
            // A microvm has no clock by which to measure the processor's; on a busy host the kernel gives up and hangs.
            KernelArguments = "tsc_early_khz=2000000",
            Modules = ["virtio_mmio", "virtio_rng"],
            Devices = ["-global", $"virtio-mmio.force-legacy={(modern ? "off" : "on")}", .. options.Devices],
        });

        Assert.Equal(modern, report.Features.Contains(Version1));
    }

    [Fact]
    public async Task With_memory_in_several_regions()
    {
        GuestOptions options = Guest();
        Report report = await AttachAsync(options with
        {
            Devices =
            [
                "-m", "slots=2,maxmem=1G",
                "-object", "memory-backend-memfd,id=mem1,size=128M,share=on", "-device", "pc-dimm,id=dimm1,memdev=mem1",
                "-object", "memory-backend-memfd,id=mem2,size=128M,share=on", "-device", "pc-dimm,id=dimm2,memdev=mem2",
                .. options.Devices,
            ],
        });

        TestContext.Current.TestOutputHelper?.WriteLine($"{report.MemoryRegions} regions, {report.Messages("ADD_MEM_REG")} messages");
        Assert.True(report.MemoryRegions >= 3, $"{report.MemoryRegions} regions");
    }

    [Fact]
    public async Task With_the_whole_memory_in_one_message()
    {
        Report report = await AttachAsync(Guest(), "--without", "ConfigureMemSlots");

        Assert.True(report.Messages("SET_MEM_TABLE") > 0);
        Assert.Equal(0, report.Messages("ADD_MEM_REG"));
    }

    [Theory]
    [InlineData("packed=on", Indirect, EventIdx)]
    [InlineData("packed=on,event_idx=off", Indirect)]
    [InlineData("packed=on,indirect_desc=off,event_idx=off")]
    [Proves("Packed ring", "QEMU 7.2, Linux guest")]
    public async Task With_a_packed_ring(string properties, params int[] features)
    {
        Report report = await AttachAsync(Guest($"vhost-user-rng-pci,{properties}"));

        Assert.Equal(Accepted([.. features, Version1, RingPacked]), report.Features);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    [Proves("ACCESS_PLATFORM (IOTLB)", "QEMU 7.2, Linux guest")]
    public async Task Behind_an_IOMMU(string properties)
    {
        Report report = await AttachAsync(Guests.WithIommu(Guest($"vhost-user-rng-pci{Guests.BehindIommu}{properties}")));

        TestContext.Current.TestOutputHelper?.WriteLine($"{report.IotlbMisses} misses, {report.Messages("IOTLB_MSG")} messages");
        Assert.Contains(AccessPlatform, report.Features);
        Assert.True(report.IotlbMisses > 0, "nothing was missed");
        Assert.True(report.Messages("IOTLB_MSG") > report.IotlbMisses, "nothing was taken back");
    }

    [Theory]
    [InlineData("memory-backend-ram,id=private,size=256M", "the ring was started but no memory was shared; give QEMU shared RAM: -object memory-backend-memfd,id=mem0,size=512M,share=on -machine memory-backend=mem0")]
    [InlineData("memory-backend-memfd,id=private,size=256M,share=off", "the guest's RAM is probably private and nothing will arrive; give QEMU share=on: -object memory-backend-memfd,id=mem0,size=512M,share=on -machine memory-backend=mem0")]
    public async Task Memory_that_is_not_shared_is_explained_and_the_next_machine_is_served(string memory, string explanation)
    {
        GuestOptions options = Guest();
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        await using (GuestMachine guest = GuestMachine.Start(options with
        {
            Devices = ["-object", memory, "-machine", "memory-backend=private", .. options.Devices],
        }))
        {
            await vio.WaitForLogAsync(Guests.QemuIsNew ? "give QEMU" : explanation); // newer ones share no private memory at all
        }

        await Guests.AssertServedAsync(SocketPath);
    }

    [Fact]
    [Proves("Proxy", "QEMU 7.2, Linux guest")]
    public async Task A_proxy_between_QEMU_and_the_daemon_passes_everything_and_names_what_passes()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        await using VioProcess proxy = await ProxyAsync();
        await using (GuestMachine guest = GuestMachine.Start(Guests.On(_directory["proxy"], ShowBytes)))
        {
            IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

            Assert.Equal(Bytes * 2, events.Single(line => line.Key == "bytes").Value.Length);
        }

        Ending ended = await proxy.EndAsync();
        Assert.Matches(@"SET_FEATURES  features = INDIRECT_DESC\(28\) EVENT_IDX\(29\) .*VERSION_1\(32\)", ended.Output);
        Assert.Matches(@"ADD_MEM_REG  guest 0x[0-9a-f]+, [0-9]+ [MK]iB, user 0x[0-9a-f]+", ended.Output);
        Assert.DoesNotContain("  ! ", ended.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_proxy_says_in_a_sentence_that_memory_is_not_shared()
    {
        GuestOptions options = Guests.On(_directory["proxy"], ShowBytes);
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        await using VioProcess proxy = await ProxyAsync();
        await using (GuestMachine guest = GuestMachine.Start(options with
        {
            Devices = ["-object", "memory-backend-ram,id=private,size=256M", "-machine", "memory-backend=private", .. options.Devices],
        }))
        {
            await vio.WaitForLogAsync("no memory was shared");
        }

        Assert.Contains("! the ring is to run, but no memory was shared: guest RAM is not share=on, and no memory will ever arrive", (await proxy.EndAsync()).Output, StringComparison.Ordinal);
    }

    /// <summary>What the guest accepts where QEMU's properties ask for this: newer ones offer it whatever the back-end offers.</summary>
    private static int[] Accepted(params int[] properties) => Guests.QemuIsNew ? [Indirect, EventIdx, Version1, RingPacked] : properties;

    private async Task<VioProcess> ProxyAsync()
    {
        VioProcess proxy = VioProcess.Start("proxy", "--listen", _directory["proxy"], "--connect", SocketPath, "--once");
        await proxy.WaitForLogAsync("listening on");
        return proxy;
    }

    private GuestOptions Guest(string device = "vhost-user-rng-pci") => Guests.On(SocketPath, ShowBytes, device);

    /// <summary>Boots the guest, asserts that it read what the device gave, and returns what the daemon saw.</summary>
    private async Task<Report> AttachAsync(GuestOptions options, params string[] daemonOptions)
    {
        var source = new KnownSource(_directory["source"], 1 << 20);
        await using VioProcess vio = await VioProcess.ServeRngAsync(
            SocketPath, ["--rng-source", source.Path, "--report", _directory["report"], .. daemonOptions]);
        await using (GuestMachine guest = GuestMachine.Start(options))
        {
            IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

            Assert.Equal("virtio_rng.0", events.Single(line => line.Key == "rng-current").Value);
            byte[] read = Convert.FromHexString(events.Single(line => line.Key == "bytes").Value);
            Assert.Equal(Bytes, read.Length);
            source.AssertContains(read);
        }

        await vio.WaitForLogAsync("front-end left");
        await vio.EndByAsync(VioProcess.SigTerm);
        Report report = Report.Read(_directory["report"]);
        Assert.Empty(report.Faults);
        Assert.DoesNotContain("fail:", vio.Errors, StringComparison.Ordinal);
        return report;
    }
}
