using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
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

public sealed class LoopbackTransportTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static TheoryData<bool, bool, bool, bool> Combinations => new(
        Enumerable.Range(0, 16).Select(bits => ((bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0)));

    [Theory]
    [MemberData(nameof(Combinations))]
    [Proves("Entropy device", "loopback")]
    [Proves("Entropy driver", "loopback")]
    [Proves("Split ring", "loopback")]
    [Proves("INDIRECT_DESC", "loopback")]
    [Proves("EVENT_IDX", "loopback")]
    [Proves("Packed ring", "loopback")]
    [Proves("IN_ORDER", "loopback")]
    [Proves("Feature negotiation", "loopback")]
    public void Bytes_come_over_every_combination_of_ring_features(bool packed, bool indirect, bool eventIdx, bool inOrder)
    {
        FeatureSet offered = Features.Version1 | (packed ? Features.RingPacked : default) | (indirect ? Features.IndirectDesc : default)
            | (eventIdx ? Features.EventIdx : default) | (inOrder ? Features.InOrder : default);
        using var transport = new LoopbackTransport(new RngDevice(), new DeviceHostOptions { RingFeatures = offered });
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
        Assert.True(buffers[4].Span.ToArray().Distinct().Count() > 100);
        Assert.False(session.NeedsReset);
    }

    [Fact]
    [Proves("Rate limit", "loopback")]
    public void A_device_that_waits_is_woken_while_its_driver_does()
    {
        using var transport = new LoopbackTransport(new RngDevice(limit: new RateLimit(64, TimeSpan.FromMilliseconds(10.7))));
        using var driver = new RngDriver(transport, bufferSize: 64);
        byte[] bytes = new byte[640];

        Assert.Equal(640, driver.Read(bytes, Patience));

        Assert.InRange(transport.Host.Statistics(0).Postponed, 1ul, 20ul); // once per wait: never woken too early
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Proves("Chains in flight", "loopback")]
    public void A_chain_that_is_completed_later_comes_while_the_driver_waits(bool inOrder)
    {
        var device = new TwoQueueDevice { Holds = true };
        using var transport = new LoopbackTransport(device);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Block, withheld: inOrder ? default : Features.InOrder);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        DmaBuffer buffer = transport.Dma.Allocate(32);
        Assert.True(queue.TryAdd([], [buffer], out ushort first));
        Assert.True(queue.TryAdd([], [buffer], out ushort second));
        queue.Kick();
        Assert.False(queue.Wait(Patience, out _, out _));

        device.Held[1].Complete(2);
        device.Held[0].Complete(1);

        Assert.True(queue.Wait(Patience, out ushort id, out uint length));
        Assert.Equal(inOrder ? (first, 1u) : (second, 2u), (id, length));
        Assert.True(queue.Wait(Patience, out id, out length));
        Assert.Equal(inOrder ? (second, 2u) : (first, 1u), (id, length));
        Assert.Equal(1ul, transport.Host.Statistics(0).Interrupts);
    }

    [Fact]
    public void Waiting_ends_at_once_when_no_interrupt_can_come()
    {
        using var transport = new LoopbackTransport(new RngDevice());
        using var driver = new RngDriver(transport);

        while (transport.WaitForInterrupt([InterruptSource.Queue(0)], TimeSpan.Zero) != InterruptSource.None)
        {
        }

        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Queue(0)], Patience));
    }

    [Fact]
    public void An_alarm_later_than_the_timeout_is_not_waited_for()
    {
        using var transport = new LoopbackTransport(new RngDevice(limit: new RateLimit(1, TimeSpan.FromDays(1))));
        using var driver = new RngDriver(transport);

        Assert.Equal(0, driver.Read(new byte[1], Patience));
    }

    [Fact]
    public void It_shows_what_the_device_is()
    {
        using var transport = new LoopbackTransport(new RngDevice());

        Assert.Equal((DeviceId.Entropy, 1), (transport.DeviceId, transport.QueueCount));
        Assert.Equal(1024, transport.ReadMaxQueueSize(0));
        Assert.Equal(0, transport.ReadMaxQueueSize(1));
        Assert.Equal(0, transport.ReadMaxQueueSize(-1));
        Assert.Equal(transport.Host.DeviceFeatures, transport.ReadDeviceFeatures());
    }

    [Fact]
    public void Configuration_space_that_a_device_does_not_have_reads_zero_and_swallows_writes()
    {
        using var transport = new LoopbackTransport(new RngDevice());
        byte[] bytes = [1, 2, 3, 4];

        transport.WriteConfiguration(0, bytes);
        transport.ReadConfiguration(0, bytes);

        Assert.Equal([0, 0, 0, 0], bytes);
    }

    [Fact]
    public void A_queue_that_does_not_exist_is_refused()
    {
        using var transport = new LoopbackTransport(new RngDevice());
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);

        Assert.Equal("queue 1 does not exist: its size reads 0", Assert.Throws<QueueException>(() => session.EnableQueue(1)).Message);
    }

    [Fact]
    public void A_chain_without_buffers_is_refused()
    {
        using var transport = new LoopbackTransport(new RngDevice());
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);

        Assert.Throws<ArgumentException>(() => queue.TryAdd([], [], out _));
    }

    [Fact]
    [Proves("NEEDS_RESET", "loopback")]
    public void A_device_that_breaks_tells_its_driver()
    {
        using var transport = new LoopbackTransport(new EntropyStub((scoped ref _) => throw new DeviceException("out of order")));
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        Assert.True(queue.TryAdd([], [transport.Dma.Allocate(16)], out _));

        queue.Kick();

        Assert.False(queue.Wait(Patience, out _, out _));
        Assert.True(session.NeedsReset);
        Assert.Equal(1, transport.ConfigurationChanges);
    }

    [Fact]
    public void More_chains_than_one_turn_allows_are_all_served()
    {
        using var transport = new LoopbackTransport(new RngDevice());
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
    public void Device_addresses_are_not_pointers()
    {
        using var transport = new LoopbackTransport(new RngDevice());

        DmaBuffer buffer = transport.Dma.Allocate(16);

        Assert.Equal(0x1_0000_0000ul, transport.Dma.Region.Start.Value);
        Assert.InRange(buffer.Address.Value, 0x1_0000_0000ul, 0x1_0000_0000ul + transport.Dma.Region.Length);
        Assert.NotEqual(0x1_0000_0000L, transport.Dma.Region.Host);
    }
}
