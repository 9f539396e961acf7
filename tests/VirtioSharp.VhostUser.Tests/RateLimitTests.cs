using VirtioSharp.Devices.Rng;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

[Proves("Rate limit", "vhost-user")]
public sealed class RateLimitTests
{
    [Fact]
    public void A_request_beyond_the_limit_waits_while_the_front_end_is_answered()
    {
        using var served = new ServedDevice(new RngDevice(limit: new RateLimit(8, TimeSpan.FromHours(1))));
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Start(ram, ring);
        Assert.Equal(8u, ring.Serve(8));

        for (int i = 0; i < 10; i++)
        {
            ring.OfferBuffer();
            ring.Kick.Signal();
            frontEnd.Barrier();
        }

        Assert.Equal(1, ring.UsedIndex);
        Assert.Equal(1u, frontEnd.StopRing(ring)); // given back unserved
        frontEnd.Dispose();
        SessionReport report = served.NextReport();
        Assert.Equal(1UL, report.Queues[0].Counts.Chains);
        Assert.True(report.Queues[0].Counts.Postponed > 0);
    }

    [Fact]
    public void Requests_that_waited_are_served_in_time()
    {
        using var served = new ServedDevice(new RngDevice(limit: new RateLimit(8, TimeSpan.FromMilliseconds(5))));
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Start(ram, ring);

        for (ushort head = 0; head < 10; head++)
            ring.OfferBuffer(8, head);
        ring.Kick.Signal();
        ring.WaitUsed(10);

        for (ushort i = 0; i < 10; i++)
            Assert.Equal((i, 8u), (ring.UsedAt(i).Id, ring.UsedAt(i).Length));
    }

    [Fact]
    public void A_waiting_request_is_served_where_the_ring_goes_on()
    {
        bool dry = true;
        using var served = new ServedDevice(new RngDevice(bytes => Volatile.Read(ref dry) ? 0 : EntropySources.System(bytes)));
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Start(ram, ring);
        ring.OfferBuffer();
        ring.Kick.Signal();
        frontEnd.Barrier();

        Assert.Equal(0u, frontEnd.StopRing(ring));
        Volatile.Write(ref dry, false);
        frontEnd.StartRing(ring, at: 0);

        ring.WaitUsed(1);
        Assert.Equal(64u, ring.UsedAt(0).Length);
        ring.AssertServes();
    }
}
