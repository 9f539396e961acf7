using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Devices.Tests;

/// <summary>Driver and device over a legacy interface: the device is told a page number and no more.</summary>
[Proves("Legacy interface", "loopback")]
public sealed class LegacyLoopbackTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(4096)]
    [InlineData(64)]
    [Proves("Entropy device", "loopback")]
    [Proves("Entropy driver", "loopback")]
    [Proves("Legacy ring layout", "loopback")]
    public void Bytes_come_over_a_legacy_ring(int alignment)
    {
        using var transport = new LoopbackTransport(new RngDevice(), legacyAlignment: alignment);
        using var driver = new RngDriver(transport);
        byte[] bytes = new byte[100_000];

        Assert.Equal(bytes.Length, driver.Read(bytes, Patience));

        Assert.Equal(256, bytes.Distinct().Count());
        Assert.Equal(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk, transport.ReadStatus());
        Assert.Equal([27, 28, 29], transport.Host.DriverFeatures);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void The_ring_features_that_are_as_old_work_too(bool indirect, bool eventIdx)
    {
        FeatureSet withheld = (indirect ? default : Features.IndirectDesc) | (eventIdx ? default : Features.EventIdx);
        using var transport = new LoopbackTransport(new RngDevice(), legacyAlignment: LegacyLayout.PciAlignment);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy, withheld: withheld);
        DriverQueue queue = session.EnableQueue(0, maxSize: 16);
        session.Start();
        DmaBuffer[] buffers = [.. Enumerable.Range(1, 5).Select(i => transport.Dma.Allocate(i * 100))];

        for (int i = 0; i < 3000; i++)
        {
            Assert.True(queue.TryAdd([], buffers, out ushort id));
            queue.Kick();
            Assert.True(queue.Wait(Patience, out ushort used, out uint length));
            Assert.Equal((id, 1500u), (used, length));
        }

        Assert.Equal(1024, queue.Layout.Size); // the device's size, whatever the driver has use for
        Assert.Equal(Features.AnyLayout | Features.IndirectDesc | Features.EventIdx, session.NegotiatedFeatures | withheld);
    }

    [Fact]
    public void A_driver_of_two_queues_waits_for_both()
    {
        using var transport = new LoopbackTransport(new TwoQueueDevice(), legacyAlignment: LegacyLayout.PciAlignment);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Block);
        session.EnableQueues(new(0, "first"), new(1, "second"));
        session.Start();
        DmaBuffer buffer = transport.Dma.Allocate(8);

        for (int queue = 0; queue < 2; queue++)
        {
            Assert.True(session.Queue(queue).TryAdd([], [buffer], out _));
            session.Queue(queue).Kick();
            Assert.Equal(InterruptSource.Queue(queue), session.Wait(Patience));
            Assert.True(session.Queue(queue).TryGet(out _, out uint length));
            Assert.Equal((8u, queue + 1), (length, buffer.Span[7]));
        }
    }

    [Fact]
    public void Without_a_legacy_interface_there_is_nothing_for_old_drivers()
    {
        using var transport = new LoopbackTransport(new RngDevice(), new DeviceHostOptions());

        Assert.Equal((0, false), (transport.LegacyAlignment, transport.ReadDeviceFeatures().Has(Features.AnyLayout)));
    }
}
