using VirtioSharp.Linux;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Messages that come in pieces, stop in the middle, or are never read.</summary>
public sealed class StreamTests : HostileTest
{
    private static readonly byte[] SetFeatures = [.. Wire.Header((uint)FrontEndRequest.SetFeatures, Wire.Version, 8), .. Wire.U64(0)];

    [Theory]
    [InlineData(1, "the connection ended in the middle of a message, after 1 of 12 header bytes")]
    [InlineData(11, "the connection ended in the middle of a message, after 11 of 12 header bytes")]
    [InlineData(12, "the connection ended in the middle of SET_FEATURES, after 12 of 20 bytes")]
    [InlineData(19, "the connection ended in the middle of SET_FEATURES, after 19 of 20 bytes")]
    public void A_connection_that_ends_in_the_middle_of_a_message_is_reported(int bytes, string expected) => AssertRefused(expected, frontEnd =>
    {
        using FileDescriptor fd = Descriptors.Of("eventfd");
        frontEnd.SendRaw(SetFeatures.AsSpan(0, bytes), fd);
        frontEnd.EndSending();
    });

    [Fact]
    public void A_front_end_that_sends_one_byte_at_a_time_is_served()
    {
        using FrontEnd frontEnd = Served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.PieceSize = 1;
        frontEnd.Start(ram, ring);
        ring.AssertServes();
        Assert.Equal(1u, frontEnd.StopRing(ring));
    }

    [Fact]
    public void Many_messages_at_once_are_obeyed_in_order()
    {
        using FrontEnd frontEnd = Served.Connect();
        byte[] ask = Wire.Header((uint)FrontEndRequest.GetFeatures, Wire.Version, 0);
        frontEnd.SendRaw([.. ask, .. SetFeatures, .. ask, .. Wire.Header((uint)FrontEndRequest.GetProtocolFeatures, Wire.Version, 0)]);

        frontEnd.Reply(FrontEndRequest.GetFeatures);
        frontEnd.Reply(FrontEndRequest.GetFeatures);
        frontEnd.Reply(FrontEndRequest.GetProtocolFeatures);
    }

    [Theory]
    [InlineData(5)]
    [InlineData(13)]
    public void A_front_end_that_stalls_in_the_middle_of_a_message_costs_its_own_ring_nothing_and_the_next_one_waits(int bytes)
    {
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        FrontEnd stalled = Served.Connect();
        stalled.Start(ram, ring);
        stalled.SendRaw(SetFeatures.AsSpan(0, bytes));
        for (int i = 0; i < 10; i++)
            ring.AssertServes();
        using FrontEnd next = Served.Connect();
        next.Send(FrontEndRequest.GetFeatures);

        stalled.Dispose();

        Assert.StartsWith("the connection ended in the middle of ", Served.NextReport().Ended);
        next.Reply(FrontEndRequest.GetFeatures);
    }

    [Fact]
    public void A_server_can_be_stopped_while_a_front_end_stalls()
    {
        using FrontEnd stalled = Served.Connect();
        stalled.Barrier();
        stalled.SendRaw(SetFeatures.AsSpan(0, 13));

        Served.Stop();

        stalled.AssertClosed();
        Served.AssertEnds();
    }

    [Theory]
    [InlineData(Wire.Version)]
    [InlineData(Wire.Version | Wire.NeedReply)]
    public void A_front_end_that_never_reads_its_replies_does_not_hang_the_server(uint flags) =>
        AssertRefused("the front-end does not read its replies", frontEnd =>
        {
            byte[] flood = [.. Enumerable.Repeat(Wire.Header((uint)FrontEndRequest.GetFeatures, flags, 0), 1000).SelectMany(header => header)];
            try
            {
                while (true)
                    frontEnd.SendRaw(flood);
            }
            catch (LinuxException closed) when (closed.Errno is Errno.EPIPE or Errno.ECONNRESET)
            {
            }
        });

    [Fact]
    public void A_front_end_that_is_killed_leaves_nothing_behind()
    {
        Served.AssertServesNext();
        using var leaks = new LeakCheck();
        for (int i = 0; i < 20; i++)
        {
            using FrontEnd frontEnd = Served.Connect();
            using FileDescriptor fd = Descriptors.Of("eventfd");
            frontEnd.Send(FrontEndRequest.GetFeatures);
            Assert.True(Readiness.WaitReadable(frontEnd.Descriptor, Patience.Limit)); // the reply stays unread: the server sees ECONNRESET
            frontEnd.Send(FrontEndRequest.SetVringCall, Wire.U64(0), fd);
            frontEnd.SendRaw(SetFeatures.AsSpan(0, i), fd);
        }

        for (int i = 0; i < 20; i++)
            Assert.Null(Served.NextReport().Ended); // no rule was broken
        leaks.AssertNothingIsLeft();
        Served.AssertServesNext();
    }

    [Fact]
    public void A_front_end_that_connects_and_leaves_is_no_error()
    {
        for (int i = 0; i < 5; i++)
        {
            Served.Connect().Dispose();
            SessionReport report = Served.NextReport();
            Assert.Null(report.Ended);
            Assert.Empty(report.Messages);
        }

        Assert.Empty(Served.Log.Errors);
        Served.AssertServesNext();
    }
}
