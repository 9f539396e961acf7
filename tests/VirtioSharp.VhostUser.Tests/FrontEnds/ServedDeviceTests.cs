using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.FrontEnds;

/// <summary>Our front-end and our server, with a device that has two queues and a configuration that changes.</summary>
[Collection(Alone.Name)]
public sealed class ServedDeviceTests
{
    [Fact]
    [Proves("CONFIG", "vhost-user")]
    [Proves("BACKEND_REQ", "vhost-user")]
    public void Two_queues_are_told_apart_and_a_change_of_configuration_reaches_the_driver()
    {
        using var served = new ServedDevice(new ConfigurableDevice());
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Console);
        using DriverSession session = DriverSession.Open(frontEnd, DeviceId.Console);
        session.EnableQueues(new QueueRequest(0, "plain"), new QueueRequest(1, "changing"));
        session.Start();
        int changes = 0;
        session.ConfigurationChanged += (_, _) => changes++;
        Assert.Equal(0xC3C2C1C0u, session.ReadConfiguration<uint>(0));
        session.WriteConfiguration(4, (ushort)0x1234);

        byte[] plain = Ask(0), changing = Ask(1);
        while (changes == 0 && session.Wait(Patience.Limit) != InterruptSource.None)
        {
        }

        Assert.Equal([0, 0xC0], plain);
        Assert.Equal([1, 0xC1], changing);
        Assert.Equal(1, changes);
        Assert.Equal(0xC3C2C1C1u, session.ReadConfiguration<uint>(0));
        Assert.Equal((ushort)0x1234, session.ReadConfiguration<ushort>(4));

        byte[] Ask(int index)
        {
            DriverQueue queue = session.Queue(index);
            DmaBuffer answer = frontEnd.Dma.Allocate(2);
            Assert.True(queue.TryAdd([], [answer], out _));
            queue.Kick();
            Assert.True(queue.Wait(Patience.Limit, out _, out uint length));
            Assert.Equal(2u, length);
            return answer.Span.ToArray();
        }
    }

    [Fact]
    [Proves("STATUS", "vhost-user")]
    public void A_device_that_gives_up_is_seen_in_its_status_and_is_used_again_after_a_reset()
    {
        var device = new MoodyDevice { Mood = new Core.Errors.DeviceException("in a mood") };
        using var served = new ServedDevice(device);
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy);
        using DriverSession session = DriverSession.Open(frontEnd, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        DmaBuffer buffer = frontEnd.Dma.Allocate(16);
        Offer();

        Assert.Throws<Core.Errors.DeviceException>(() => session.Wait(Patience.Limit));
        session.Restore();
        session.Start();
        Offer();

        Assert.True(queue.Wait(Patience.Limit, out _, out uint length));
        Assert.Equal((1u, (byte)'m'), (length, buffer.Span[0]));

        void Offer()
        {
            Assert.True(queue.TryAdd([], [buffer], out _));
            queue.Kick();
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_request_allocates_nothing_and_neither_does_a_wait(bool isPacked)
    {
        using var served = new ServedDevice();
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, new() { WithheldFeatures = isPacked ? default : Features.RingPacked });
        using var driver = new RngDriver(frontEnd);
        byte[] bytes = new byte[64 * 1000];
        driver.Read(bytes, Patience.Limit);
        frontEnd.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero);
        long before = GC.GetAllocatedBytesForCurrentThread();

        int read = driver.Read(bytes, Patience.Limit);
        frontEnd.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(bytes.Length, read);
    }

    [Fact]
    public void Sessions_of_every_kind_leave_nothing_behind()
    {
        using var served = new ServedDevice();
        Session();
        using var leaks = new LeakCheck();

        for (int i = 0; i < 5; i++)
            Session();

        leaks.AssertNothingIsLeft();

        void Session()
        {
            foreach (ProtocolFeatures withheld in new[] { ProtocolFeatures.None, VhostUserFrontEndOptions.Implemented })
            {
                using (VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, new() { Withheld = withheld }))
                using (var driver = new RngDriver(frontEnd))
                    Assert.Equal(100, driver.Read(new byte[100], Patience.Limit));
                Assert.Null(served.NextReport().Ended);
            }
        }
    }
}
