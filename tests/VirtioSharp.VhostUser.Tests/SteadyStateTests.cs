using VirtioSharp.Devices.Rng;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>What does not grow: memory with requests, nothing at all with connections.</summary>
[Collection(Alone.Name)]
public sealed class SteadyStateTests
{
    /// <summary>Half a KiB for each of the sessions, less than any part of one that stayed behind.</summary>
    private const long SmallGrowth = 64 * 1024;

    [Theory]
    [InlineData(0)]
    [InlineData(50)]
    public void A_request_allocates_nothing(int busyPollMicroseconds)
    {
        var probe = new AllocationProbe(new RngDevice(), first: 100, last: 10_100);
        using var served = new ServedDevice(probe, new VhostUserOptions { BusyPoll = TimeSpan.FromMicroseconds(busyPollMicroseconds) });
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Start(ram, ring);

        for (int i = 0; i < 5_100; i++)
            ring.Serve();
        for (int i = 0; i < 5_000; i += 100) // and in batches
        {
            for (ushort head = 0; head < 100; head++)
                ring.OfferBuffer(head: head);
            ring.Kick.Signal();
            ring.WaitUsed(ring.AvailableIndex);
        }

        frontEnd.Barrier();
        Assert.Equal(0, probe.Allocated);
    }

    [Fact]
    public void A_request_that_is_wrong_allocates_nothing_but_the_first_of_its_kind()
    {
        var probe = new AllocationProbe(new RngDevice(), first: 2, last: 3);
        using var served = new ServedDevice(probe);
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Start(ram, ring);
        ring.SetDescriptor(200, 0xDEAD_0000, 64, Spec.DescriptorFlags.Write);
        Flood();
        Assert.Equal(64u, ring.Serve());
        Flood();
        Assert.Equal(64u, ring.Serve());

        Flood();
        Assert.Equal(64u, ring.Serve());

        Assert.Equal(0, probe.Allocated);

        void Flood()
        {
            for (int i = 0; i < 1000; i += 200)
            {
                for (int k = 0; k < 200; k++)
                    ring.Offer(200);
                ring.Kick.Signal();
                ring.WaitUsed(ring.AvailableIndex);
            }
        }
    }

    [Fact]
    [Proves("Reconnect", "vhost-user")]
    public void A_hundred_and_twenty_sessions_leave_no_descriptor_mapping_or_thread_behind()
    {
        using var served = new ServedDevice();
        HoldSessions(served, 20);
        using var leaks = new LeakCheck();

        HoldSessions(served, 120);

        leaks.AssertNothingIsLeft();
    }

    [Fact]
    public void A_hundred_and_twenty_sessions_leave_no_objects_behind()
    {
        using var served = new ServedDevice();
        HoldSessions(served, 20);
        served.Forget();
        long memory = GC.GetTotalMemory(forceFullCollection: true);

        HoldSessions(served, 120);

        served.Forget();
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - memory, long.MinValue, SmallGrowth);
    }

    /// <summary>Every sixth goes away abruptly, the others serve a request and leave.</summary>
    private static void HoldSessions(ServedDevice served, int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (i % 6 == 5)
                LeaveAbruptly(served, after: i);
            else
                served.AssertServesNext();
        }
    }

    /// <summary>Goes away somewhere in the middle of the handshake.</summary>
    private static void LeaveAbruptly(ServedDevice served, int after)
    {
        using (FrontEnd frontEnd = served.Connect())
        using (var ram = new GuestRam())
        using (var ring = new GuestRing(ram))
        {
            Action[] steps =
            [
                () => frontEnd.Negotiate(),
                () => frontEnd.SetFeatures(FrontEnd.ModernFeatures),
                () => frontEnd.AddMemory(ram),
                () => frontEnd.Describe(ring),
                () => frontEnd.SendKick(ring),
                () => frontEnd.Enable(ring),
                () => frontEnd.SendRaw(Wire.Header((uint)FrontEndRequest.SetVringCall, Wire.Version, 8), ring.Call.Descriptor),
            ];
            foreach (Action step in steps.Take(after % (steps.Length + 1)))
                step();
        }

        served.NextReport();
    }
}
