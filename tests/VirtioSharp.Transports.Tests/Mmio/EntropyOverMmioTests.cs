using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>The whole way: driver, registers, line, device.</summary>
public sealed class EntropyOverMmioTests
{
    private const string InProcess = "in-process MMIO";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static TheoryData<bool, bool, bool, bool> Combinations => new(
        Enumerable.Range(0, 16).Select(bits => ((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0)));

    [Theory]
    [MemberData(nameof(Combinations))]
    [Proves("Split ring", InProcess)]
    [Proves("Packed ring", InProcess)]
    [Proves("EVENT_IDX", InProcess)]
    [Proves("NOTIFICATION_DATA", InProcess)]
    [Proves("IN_ORDER", InProcess)]
    [Proves("Feature negotiation", InProcess)]
    public void Bytes_come_with_every_combination_of_features(bool packed, bool eventIdx, bool notificationData, bool inOrder)
    {
        FeatureSet offered = Features.Version1 | (packed ? Features.RingPacked : default) | (eventIdx ? Features.EventIdx : default)
            | (notificationData ? Features.NotificationData : default) | (inOrder ? Features.InOrder : default);
        using var machine = new SoftwareMmio(new RngDevice(), new MmioFunctionOptions { Host = new DeviceHostOptions { RingFeatures = offered } });
        using MmioTransport transport = machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0, maxSize: 16);
        session.Start();
        DmaBuffer[] buffers = [.. Enumerable.Range(1, 5).Select(i => transport.Dma.Allocate(i * 100))];

        for (int i = 0; i < 100; i++)
        {
            Assert.True(queue.TryAdd([], buffers, out ushort id));
            queue.Kick();
            Assert.True(queue.Wait(Patience, out ushort used, out uint length));
            Assert.Equal((id, 1500u), (used, length));
        }

        Assert.Equal(offered, session.NegotiatedFeatures);
        Assert.Equal(offered, machine.Function.Host.DriverFeatures);
        Assert.False(session.NeedsReset);
    }

    [Fact]
    [Proves("Rate limit", InProcess)]
    public void A_device_that_waits_is_woken_while_its_driver_does()
    {
        using var machine = new SoftwareMmio(new RngDevice(limit: new RateLimit(64, TimeSpan.FromMilliseconds(10.7))));
        using MmioTransport transport = machine.Open();
        using var driver = new RngDriver(transport, bufferSize: 64);

        Assert.Equal(640, driver.Read(new byte[640], Patience));

        Assert.InRange(machine.Function.Host.Statistics(0).Postponed, 1ul, 20ul);
    }

    [Fact]
    public void More_chains_than_one_turn_allows_are_all_served()
    {
        using var machine = new SoftwareMmio(new RngDevice());
        using MmioTransport transport = machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0, maxSize: 1024);
        session.Start();
        DmaBuffer buffer = transport.Dma.Allocate(1);
        int added = 0, got = 0;
        while (queue.TryAdd([], [buffer], out _))
            added++;

        queue.Kick();
        while (queue.TryGet(out _, out _))
            got++;

        Assert.Equal((1024, 1024), (added, got));
    }

    [Fact]
    public void Waiting_ends_at_once_when_no_interrupt_can_come()
    {
        using var machine = new SoftwareMmio(new RngDevice());
        using MmioTransport transport = machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        session.EnableQueue(0);
        session.Start();

        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Queue(0)], Patience));
    }

    [Fact]
    public void One_session_follows_the_other()
    {
        using var machine = new SoftwareMmio(new RngDevice());
        for (int i = 0; i < 3; i++)
        {
            using MmioTransport transport = machine.Open();
            using var driver = new RngDriver(transport);
            Assert.Equal(100, driver.Read(new byte[100], Patience));
        }

        Assert.Equal(DeviceStatus.Reset, machine.Function.Host.Status);
        Assert.False(machine.Function.Host.IsEnabled(0));
    }
}
