using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Devices.Tests;

/// <summary>One queue is reset while the others go on (§2.6.1).</summary>
public sealed class QueueResetTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData(false, 4)]
    [InlineData(false, 64)]
    [InlineData(true, 7)]
    [InlineData(true, 64)]
    [Proves("RING_RESET", "loopback")]
    public void A_queue_that_was_reset_has_a_new_size_and_the_other_goes_on(bool packed, int size)
    {
        var device = new TwoQueueDevice();
        using LoopbackTransport transport = Connect(device, packed);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Block);
        DriverQueue first = session.EnableQueue(0, maxSize: 16), second = session.EnableQueue(1, maxSize: 16);
        session.Start();
        DmaBuffer buffer = transport.Dma.Allocate(32);
        Serve(first, buffer);
        device.Holds = true;
        Assert.True(first.TryAdd([], [buffer], out _));
        Assert.True(second.TryAdd([], [buffer], out ushort kept));
        first.Kick();
        second.Kick();
        device.Holds = false;

        DriverQueue anew = session.ResetQueue(first, size);

        Assert.Equal(size, anew.Layout.Size);
        Assert.False(anew.TryGet(out _, out _));
        for (int i = 0; i < 3 * size; i++)
            Serve(anew, buffer);
        Assert.Equal([false, true], device.Held.Select(held => held.IsPending));
        device.Held[1].Complete(5);
        Assert.True(second.Wait(Patience, out ushort id, out uint length));
        Assert.Equal((kept, 5u), (id, length));
        Serve(second, buffer);
        Assert.Equal(2, buffer.Span[31]);
    }

    [Fact]
    [Proves("RING_RESET", "loopback")]
    public void Without_RING_RESET_a_driver_cannot_and_a_device_does_not()
    {
        var device = new TwoQueueDevice();
        using LoopbackTransport transport = Connect(device, packed: false);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Block, withheld: Features.RingReset);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();

        Assert.Throws<InvalidOperationException>(() => session.ResetQueue(queue));
        transport.ResetQueue(0); // a driver that does it all the same

        Assert.True(transport.Host.IsEnabled(0));
        Serve(queue, transport.Dma.Allocate(32));
    }

    [Fact]
    [Proves("RING_RESET", "loopback")]
    public void A_queue_that_was_reset_and_not_enabled_again_is_not_served()
    {
        using LoopbackTransport transport = Connect(new TwoQueueDevice(), packed: true);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Block);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();

        transport.ResetQueue(0);
        Assert.True(queue.TryAdd([], [transport.Dma.Allocate(32)], out _));
        queue.Kick();

        Assert.False(transport.Host.IsEnabled(0));
        Assert.False(queue.TryGet(out _, out _));
        Assert.False(session.NeedsReset);
    }

    private static LoopbackTransport Connect(VirtioDevice device, bool packed) =>
        new(device, new DeviceHostOptions { RingFeatures = packed ? DeviceHostOptions.AllRingFeatures - Features.InOrder : DeviceHostOptions.AllRingFeatures - Features.InOrder - Features.RingPacked });

    private static void Serve(DriverQueue queue, DmaBuffer buffer)
    {
        Assert.True(queue.TryAdd([], [buffer], out ushort id));
        queue.Kick();
        Assert.True(queue.Wait(Patience, out ushort used, out uint length));
        Assert.Equal((id, 32u), (used, length));
    }
}
