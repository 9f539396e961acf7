using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>From finding the device to its first request and back to reset, step by step.</summary>
public sealed class NegotiationTests
{
    private const DeviceStatus SetUp = DeviceStatus.Acknowledge | DeviceStatus.Driver;

    [Theory]
    [Ways("Enumeration", Over = Targets.All, Transitional = true)]
    public async Task The_device_is_found_and_says_what_it_is(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng());
        IDriverTransport transport = rig.Transport;

        Assert.Equal((DeviceId.Entropy, 1), (transport.DeviceId, transport.QueueCount));
        Assert.Equal(way.IsLegacy, transport.LegacyAlignment != 0);
        Assert.True(int.IsPow2(transport.ReadMaxQueueSize(0)));
        FeatureSet offered = transport.ReadDeviceFeatures();
        Assert.Equal(!way.IsLegacy, offered.Has(Features.Version1));
        if (way.IsMmio && rig.Machine is { } machine)
            Assert.Equal(QtestMmioSlot.CountOf(machine) - 1, QtestMmioSlot.Find(machine, DeviceId.Entropy)?.Number);
        if (!way.IsPci)
            return;
        PciBusEntry entry = Assert.Single(rig.PciBus!.Functions, function => function.Identity.IsVirtio);
        Assert.Equal((Rig.Slot, DeviceId.Entropy), (entry.Address, entry.Identity.VirtioType));
        Assert.Equal(way.Personality != Personality.Pci, entry.Identity.IsTransitional);
    }

    [Theory]
    [Ways("Reset and status", Over = Targets.All, Transitional = true)]
    public async Task Status_is_what_the_driver_has_written_until_a_reset(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng());
        IDriverTransport transport = rig.Transport;
        for (int life = 0; life < 3; life++)
        {
            transport.WriteStatus(DeviceStatus.Reset);
            Assert.Equal(DeviceStatus.Reset, transport.ReadStatus());
            transport.WriteStatus(DeviceStatus.Acknowledge);
            Assert.Equal(DeviceStatus.Acknowledge, transport.ReadStatus());
            transport.WriteStatus(SetUp);
            Assert.Equal(SetUp, transport.ReadStatus());
            using DriverSession session = rig.Negotiate();
            Assert.Equal(way.IsLegacy ? SetUp : SetUp | DeviceStatus.FeaturesOk, transport.ReadStatus());
            DriverQueue queue = session.EnableQueue(0);
            session.Start();
            Assert.Equal((way.IsLegacy ? SetUp : SetUp | DeviceStatus.FeaturesOk) | DeviceStatus.DriverOk, transport.ReadStatus());
            RoundTrip(rig, queue);
            Assert.False(session.NeedsReset);
        }

        Assert.Equal(DeviceStatus.Reset, transport.ReadStatus());
        Assert.False(rig.Host?.IsEnabled(0) ?? false);
    }

    [Theory]
    [Ways("Feature negotiation", "INDIRECT_DESC", "EVENT_IDX", Over = Targets.All & ~Targets.QemuElsewhere, EachRing = true)]
    public async Task Each_ring_feature_may_be_withheld_by_the_driver(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng());
        FeatureSet[] all =
        [
            default, Features.IndirectDesc, Features.EventIdx, Features.IndirectDesc | Features.EventIdx, Features.RingPacked,
            Features.InOrder, Features.NotificationData, Features.RingReset,
        ];
        foreach (FeatureSet withheld in all)
        {
            using DriverSession session = rig.Negotiate(new DriverFeatures { Withheld = withheld });
            DriverQueue queue = session.EnableQueue(0);
            session.Start();
            Assert.Equal(default, session.NegotiatedFeatures & withheld);
            Assert.Equal(rig.Host?.DriverFeatures ?? session.NegotiatedFeatures, session.NegotiatedFeatures);
            Assert.True((session.NegotiatedFeatures | withheld).Has(Features.IndirectDesc | Features.EventIdx)); // everybody has these
            for (int i = 0; i < 20; i++)
                RoundTrip(rig, queue);
            Assert.False(session.NeedsReset);
        }
    }

    [Theory]
    [Ways("Feature negotiation", Over = Targets.Loopback | Targets.InProcess, ModernOnly = true)]
    public async Task A_feature_that_was_not_offered_is_refused_by_our_devices(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng());
        IDriverTransport transport = rig.Transport;
        FeatureSet[] wrong = [Features.Version1 | FeatureSet.Bit(50), Features.Version1 | FeatureSet.Bit(0), Features.IndirectDesc];
        foreach (FeatureSet features in wrong)
        {
            transport.WriteStatus(DeviceStatus.Reset);
            transport.WriteStatus(SetUp);
            transport.WriteDriverFeatures(features);
            transport.WriteStatus(SetUp | DeviceStatus.FeaturesOk);

            Assert.Equal(SetUp, transport.ReadStatus());
        }

        AssertWorks(rig);
    }

    // QEMU 7.2 takes features that it has not offered, and even no VERSION_1; but it wants what this option makes it want.
    [Theory]
    [Ways("Feature negotiation", Over = Targets.Qemu, ModernOnly = true)]
    public async Task A_driver_that_does_not_accept_what_QEMU_insists_on_gets_no_FEATURES_OK(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng { Properties = ",iommu_platform=on" });

        var refusal = Assert.Throws<TransportException>(() => rig.Negotiate());

        Assert.StartsWith("the device refused the features", refusal.Message, StringComparison.Ordinal);
        Assert.True(rig.Transport.ReadStatus().HasFlag(DeviceStatus.Failed));
    }

    [Theory]
    [Ways("Enumeration", Over = Targets.All & ~Targets.QemuElsewhere)]
    public async Task A_queue_that_does_not_exist_can_be_done_without_or_not(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng());
        DriverSession session = rig.Negotiate();
        session.EnableQueues(new QueueRequest(0, "request"), new QueueRequest(1, "more", IsOptional: true));
        Assert.Equal((true, false), (session.IsEnabled(0), session.IsEnabled(1)));

        Assert.Equal("queue 7 does not exist: its size reads 0", Assert.Throws<QueueException>(() => session.EnableQueue(7)).Message);

        Assert.True(rig.Transport.ReadStatus().HasFlag(DeviceStatus.Failed));
        session.Dispose();
        AssertWorks(rig);
    }

    [Theory]
    [Ways("RING_RESET", Over = Targets.Loopback | Targets.InProcess, ModernOnly = true, EachRing = true, EachInterrupt = true)]
    [Ways("RING_RESET", Over = Targets.Qemu, PciOnly = true, ModernOnly = true, EachRing = true, EachInterrupt = true)]
    public async Task A_queue_is_reset_alone_and_goes_on_with_another_size(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng());
        DriverSession session = rig.Negotiate();
        DriverQueue queue = session.EnableQueue(0, 4);
        session.Start();
        RoundTrip(rig, queue);
        foreach (int size in new[] { 8, 4, 8 }) // QEMU's has 8 entries at the most
        {
            queue = session.ResetQueue(queue, size);
            Assert.Equal(size, queue.Layout.Size);
            for (int i = 0; i < 10; i++)
                RoundTrip(rig, queue);
        }
    }

    /// <summary>Nothing is proven of RING_RESET by that: QEMU 7.2 offers it over MMIO, and has no such register.</summary>
    [Fact]
    public async Task A_queue_reset_that_does_not_happen_is_noticed_and_the_ring_is_not_freed()
    {
        await using Rig rig = await Rig.OpenAsync(new Way(Targets.Qemu, Personality.Mmio, false, InterruptKind.Line), new Rng());
        DriverSession session = rig.Negotiate();
        DriverQueue queue = session.EnableQueue(0);
        session.Start();

        var failure = Assert.Throws<TransportException>(() => session.ResetQueue(queue));

        Assert.Contains("its QueueReady reads 1", failure.Message, StringComparison.Ordinal);
        RoundTrip(rig, queue);
    }

    [Theory]
    [Ways("Entropy driver", Over = Targets.EveryQemu)]
    public async Task A_stopped_machine_serves_no_requests_until_it_continues(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng());
        byte[] bytes = new byte[256];
        await rig.ExecuteAsync("stop");
        using var driver = rig.Drive<RngDriver>(new VirtioRng());

        int stopped = driver.Read(bytes, TimeSpan.FromMilliseconds(50));
        await rig.ExecuteAsync("cont");
        int running = driver.Read(bytes, Rig.Patience);

        Assert.Equal((0, bytes.Length), (stopped, running));
    }

    [Fact]
    [Proves("Entropy device", "QEMU 7.2 PCI, modern")]
    public async Task Two_machines_one_after_the_other_are_served_by_one_daemon()
    {
        var way = new Way(Targets.Daemon, Personality.Pci, false, InterruptKind.VectorPerQueue);
        using var files = new TemporaryDirectory();
        await using VioProcess vio = await new Rng().ServeAsync(files);
        for (int round = 0; round < 2; round++)
        {
            await using Rig rig = await Rig.OpenAsync(way, new Rng { ServedAt = files["sock"] });
            AssertWorks(rig);
        }

        Assert.False(vio.HasExited);
    }

    private static void AssertWorks(Rig rig)
    {
        using DriverSession session = rig.Negotiate();
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        RoundTrip(rig, queue);
    }

    /// <summary>One request of three buffers: with INDIRECT_DESC an indirect chain, otherwise a plain one.</summary>
    private static void RoundTrip(Rig rig, DriverQueue queue)
    {
        DmaBuffer[] room = [rig.Dma.Allocate(16), rig.Dma.Allocate(32), rig.Dma.Allocate(48)];
        Assert.True(queue.TryAdd([], room, out ushort id));
        queue.Kick();
        Assert.True(queue.Wait(Rig.Patience, out ushort used, out uint length));
        Assert.Equal((id, 96u), (used, length));
        Assert.All(room, buffer => Assert.True(buffer.Span.ContainsAnyExcept((byte)0)));
    }
}
