using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Devices.Tests;

/// <summary>Devices come, sleep, break and go on a bus, with our own devices at the other end.</summary>
[Proves("Driver core", "loopback")]
public sealed class BusLoopbackTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    public static TheoryData<FeatureSet, int> Kinds => new()
    {
        { Features.Version1 | Features.IndirectDesc | Features.EventIdx, 0 },
        { Features.Version1 | Features.RingPacked | Features.EventIdx | Features.InOrder, 0 },
        { Features.EventIdx, 4096 },
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    [Proves("Freeze and restore", "loopback")]
    [Proves("Hot plug", "loopback")]
    public void A_device_comes_works_sleeps_works_and_goes(FeatureSet ringFeatures, int legacyAlignment)
    {
        using var bus = new VirtioBus();
        bus.Register(new VirtioRng());
        var transport = new LoopbackTransport(new RngDevice(), new DeviceHostOptions { RingFeatures = ringFeatures }, legacyAlignment: legacyAlignment);
        BusDevice device = bus.Add(transport);
        var rng = Assert.IsType<RngDriver>(device.Bound);
        byte[] bytes = new byte[100];

        for (int nap = 0; nap < 100; nap++)
        {
            for (int i = 0; i < 7; i++)
                Assert.Equal(100, rng.Read(bytes, Patience));
            Assert.Empty(bus.Freeze());
            Assert.Equal((DeviceStatus.Reset, false), (transport.ReadStatus(), transport.Host.IsEnabled(0)));
            Assert.Empty(bus.Restore());
        }

        Assert.Equal(100, rng.Read(bytes, Patience));
        bus.Remove(device);
        Assert.Throws<QueueException>(() => rng.Read(bytes, Patience));
    }

    [Fact]
    [Proves("NEEDS_RESET", "loopback")]
    [Proves("Freeze and restore", "loopback")]
    public void A_device_that_breaks_is_noticed_restored_and_works()
    {
        bool broken = true;
        using var transport = new LoopbackTransport(new EntropyStub((scoped ref chain) =>
        {
            if (broken)
                throw new DeviceException("out of order");
            chain.Write([1, 2, 3]);
        }));
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        DmaBuffer buffer = transport.Dma.Allocate(16);
        Assert.True(queue.TryAdd([], [buffer], out _));
        queue.Kick();

        Assert.Throws<DeviceException>(() => session.Wait(Patience));
        broken = false;
        session.Restore();
        session.Start();
        Assert.True(queue.TryAdd([], [buffer], out _));
        queue.Kick();

        Assert.Equal(InterruptSource.Queue(0), session.Wait(Patience));
        Assert.True(queue.TryGet(out _, out uint length));
        Assert.Equal(3u, length);
    }
}
