using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;
using static VirtioSharp.VhostUser.Protocol.FrontEndRequest;

namespace VirtioSharp.VhostUser.Tests.FrontEnds;

/// <summary>What a back-end is told that has come back. That requests survive it is shown with real daemons.</summary>
[Proves("Reconnect", "vhost-user")]
public sealed class ReconnectTests : IDisposable
{
    private static readonly VhostUserFrontEndOptions Patient = new() { ReconnectTimeout = Patience.Limit };

    private readonly ScriptedBackEnd _peer = new();

    public void Dispose() => _peer.Dispose();

    [Fact]
    [Proves("In-flight recovery", "vhost-user")]
    public void It_gets_the_same_features_memory_and_in_flight_buffer_and_the_driver_is_woken()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient);
        using DriverSession session = Start(frontEnd);
        Heard[] first = [.. _peer.Messages];

        _peer.Leave();
        InterruptSource woken = frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit);

        Assert.Equal(InterruptSource.Queue(0), woken);
        Assert.Equal(InterruptSource.Configuration, frontEnd.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
        Heard[] second = [.. _peer.Messages.Skip(first.Length)];
        Assert.Equal(
            [
                GetFeatures, GetProtocolFeatures, SetProtocolFeatures, GetQueueNum, GetMaxMemSlots, SetBackEndReqFd, SetOwner,
                SetStatus, SetFeatures, SetInflightFd, AddMemReg,
                SetVringNum, SetVringBase, SetVringAddr, SetVringErr, SetVringCall, SetVringKick, SetVringEnable, SetStatus,
            ],
            second.Select(message => message.Request));
        Assert.Single(_peer.InflightFiles.Distinct());
        Assert.Equal(2, _peer.InflightFiles.Count);
        foreach (FrontEndRequest told in new[] { SetProtocolFeatures, SetFeatures, SetInflightFd, AddMemReg, SetVringNum, SetVringBase, SetVringAddr })
            Assert.Equal(first.Last(message => message.Request == told).Payload, second.Single(message => message.Request == told).Payload);
    }

    [Fact]
    public void A_thread_per_queue_is_not_resumed()
    {
        var refused = Assert.Throws<ArgumentException>(() => _peer.Connect(Patient with { HasThreadPerQueue = true }));

        Assert.Contains("HasThreadPerQueue", refused.Message, StringComparison.Ordinal);
        Assert.Contains("ReconnectTimeout", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Proves("In-flight recovery", "vhost-user")]
    public void One_that_died_before_it_gave_an_in_flight_buffer_is_followed_by_one_that_is_asked_for_it()
    {
        _peer.Script[GetInflightFd] = _ =>
        {
            _peer.Script.Remove(GetInflightFd);
            return _peer.HangUp();
        };
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient);
        using DriverSession session = Start(frontEnd);
        Assert.Equal(InterruptSource.Queue(0), frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit)); // woken by its follower

        Heard[] told = ComeBack(frontEnd);

        Assert.Equal(2, _peer.InflightFiles.Count);
        Assert.Single(_peer.InflightFiles.Distinct());
        Assert.DoesNotContain(GetInflightFd, told.Select(message => message.Request));
    }

    [Fact]
    public void A_message_that_cannot_be_sent_waits_for_it_too()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient);

        _peer.Leave();
        FeatureSet features = frontEnd.ReadDeviceFeatures();
        using DriverSession session = Start(frontEnd);
        _peer.Leave();
        frontEnd.ReadConfiguration(0, new byte[4]);

        Assert.Equal(Features.Version1, features);
        Assert.Equal(3, _peer.Messages.Count(message => message.Request == SetOwner));
    }

    [Fact]
    public void It_is_told_what_the_driver_wrote_to_configuration_space_before_its_rings_start()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient, DeviceId.Block);
        DriverSession session = Start(frontEnd, DeviceId.Block);
        frontEnd.WriteConfiguration(32, [1]);
        frontEnd.WriteConfiguration(2, [7, 7]);
        frontEnd.WriteConfiguration(32, [0]);
        _peer.Script[SetConfig] = _ => Reply(SetConfig, 22);
        Assert.Equal(VhostUserFailure.Refused, Assert.Throws<VhostUserException>(() => frontEnd.WriteConfiguration(2, [9, 9])).Failure);
        _peer.Script.Remove(SetConfig);

        Heard[] told = ComeBack(frontEnd);
        session.Dispose(); // with a reset
        using DriverSession next = Start(frontEnd, DeviceId.Block);
        Heard[] toldOfNext = ComeBack(frontEnd);

        Assert.Equal([Wire.Config(2, 2, [7, 7]), Wire.Config(32, 1, [0])], told.Where(message => message.Request == SetConfig).Select(message => message.Payload));
        Assert.Equal([SetStatus, SetFeatures, SetConfig, SetConfig, SetInflightFd], told.SkipWhile(message => message.Request != SetStatus).Take(5).Select(message => message.Request));
        Assert.DoesNotContain(SetConfig, toldOfNext.Select(message => message.Request));
    }

    [Fact]
    public void A_write_to_configuration_space_that_is_lost_on_the_way_is_told_to_the_next()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient, DeviceId.Block);
        _peer.Script[SetConfig] = _ =>
        {
            _peer.Script.Remove(SetConfig);
            return _peer.HangUp();
        };

        frontEnd.WriteConfiguration(32, [1]);

        Assert.Equal([SetConfig, SetConfig], _peer.Messages.Select(message => message.Request).Where(request => request == SetConfig));
        Assert.Equal(SetConfig, _peer.Messages.Last().Request);
    }

    [Fact]
    public void A_character_that_a_console_has_put_out_in_an_emergency_is_not_put_out_again()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient, DeviceId.Console);
        using DriverSession session = Start(frontEnd, DeviceId.Console);
        frontEnd.WriteConfiguration(8, [(byte)'!', 0, 0, 0]);

        Assert.DoesNotContain(SetConfig, ComeBack(frontEnd).Select(message => message.Request));
    }

    [Fact]
    public void A_session_that_is_closed_while_it_is_away_does_not_look_for_it()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient);
        DriverSession session = Start(frontEnd);
        int before = _peer.Messages.Count;

        _peer.Script[GetVringBase] = _ => _peer.HangUp();
        session.Dispose();

        Assert.Equal([SetVringEnable, GetVringBase], _peer.Messages.Skip(before).Select(message => message.Request));
        _peer.Script.Remove(GetVringBase);
        using DriverSession next = Start(frontEnd);
        Assert.True(next.IsStarted);
    }

    [Theory]
    [InlineData(GetFeatures, Wire.ProtocolFeatures, "and the driver uses VERSION_1(32)")]
    [InlineData(GetProtocolFeatures, 0UL, "has no protocol feature")]
    [InlineData(GetQueueNum, 1UL, "has 1 queues in place of 2")]
    public void Another_back_end_in_its_place_is_refused_with_the_difference(FrontEndRequest question, ulong answer, string expected)
    {
        _peer.Script[GetQueueNum] = _ => Reply(GetQueueNum, 2);
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient);
        using DriverSession session = Start(frontEnd);

        _peer.Script[question] = _ => Reply(question, answer);
        _peer.Leave();
        var refused = Assert.Throws<VhostUserException>(() => frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit));

        Assert.Equal((VhostUserFailure.Lacking, question), (refused.Failure, refused.Request));
        Assert.Contains(expected, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_that_stays_away_is_given_up_after_the_time_that_was_said()
    {
        VhostUserFrontEnd frontEnd;
        using (var peer = new ScriptedBackEnd())
        {
            frontEnd = peer.Connect(new() { ReconnectTimeout = TimeSpan.FromMilliseconds(300) });
            peer.Leave();
        }

        using (frontEnd)
        {
            Assert.Equal(InterruptSource.None, frontEnd.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
            var lost = Assert.Throws<VhostUserException>(() => frontEnd.WaitForInterrupt([InterruptSource.Configuration], Patience.Limit));

            Assert.Equal(VhostUserFailure.Lost, lost.Failure);
            Assert.Contains("has not come back within 0.3 s: connect ", lost.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void One_that_accepts_and_then_says_nothing_is_still_away()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient with { ReplyTimeout = TimeSpan.FromSeconds(1) });
        using DriverSession session = Start(frontEnd);
        _peer.Script[GetFeatures] = _ => _peer.Script.Remove(GetFeatures); // once, and no answer

        Heard[] told = ComeBack(frontEnd);

        Assert.Equal([GetFeatures, GetFeatures, GetProtocolFeatures], told.Take(3).Select(message => message.Request));
    }

    [Fact]
    public void Without_that_the_end_of_the_connection_is_told_at_once()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect();
        using DriverSession session = Start(frontEnd);

        _peer.Leave();
        var lost = Assert.Throws<VhostUserException>(() => frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit));

        Assert.Equal((VhostUserFailure.Lost, "the back-end has closed the connection"), (lost.Failure, lost.Message));
    }

    [Fact]
    public void A_queue_whose_driver_cannot_say_what_is_in_flight_is_not_resumed()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient);
        frontEnd.EnableQueue(0, new QueueLayout(16, frontEnd.Dma.Region.Start, frontEnd.Dma.Region.Start.Plus(256), frontEnd.Dma.Region.Start.Plus(512)));
        frontEnd.WriteStatus(DeviceStatus.DriverOk);

        _peer.Leave();

        Assert.Contains("queue 0 cannot be resumed", Assert.Throws<VhostUserException>(() => frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_ring_that_the_dead_back_end_broke_is_not_resumed_either()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(Patient);
        using DriverSession session = Start(frontEnd);
        DriverQueue queue = session.Queue(0);
        ulong usedIndex = queue.Layout.DeviceArea.Value - frontEnd.Dma.Region.Start.Value + 2;
        unsafe
        {
            *(ushort*)(frontEnd.Dma.Region.Host + (nint)usedIndex) = 7; // nothing was ever offered
        }

        _peer.Leave();

        Assert.Contains("used.idx = 7 is ahead", Assert.Throws<TransportException>(() => frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit)).Message, StringComparison.Ordinal);
    }

    private bool Reply(FrontEndRequest request, ulong value)
    {
        _peer.Reply(request, Wire.U64(value));
        return true;
    }

    /// <summary>What the back-end is told when it has died and come back.</summary>
    private Heard[] ComeBack(VhostUserFrontEnd frontEnd)
    {
        int before = _peer.Messages.Count;
        _peer.Leave();
        Assert.Equal(InterruptSource.Queue(0), frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit));
        return [.. _peer.Messages.Skip(before)];
    }

    private static DriverSession Start(VhostUserFrontEnd frontEnd, DeviceId device = DeviceId.Entropy)
    {
        DriverSession session = DriverSession.Open(frontEnd, device);
        session.EnableQueue(0);
        session.Start();
        return session;
    }
}
