using VirtioSharp.Core.Driver;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;
using static VirtioSharp.VhostUser.Protocol.FrontEndRequest;

namespace VirtioSharp.VhostUser.Tests.FrontEnds;

/// <summary>What a front-end says when, and what it hears while it waits.</summary>
[Proves("Front-end for drivers", "vhost-user")]
public sealed class ConversationTests : IDisposable
{
    private readonly ScriptedBackEnd _peer = new();

    public void Dispose() => _peer.Dispose();

    [Fact]
    public void The_messages_come_in_QEMUs_order_and_each_is_acknowledged()
    {
        using (VhostUserFrontEnd frontEnd = _peer.Connect())
            Start(frontEnd).Dispose();

        Assert.Equal(
            [
                GetFeatures, GetProtocolFeatures, SetProtocolFeatures, GetQueueNum, GetMaxMemSlots, SetBackEndReqFd, SetOwner,
                ResetDevice, SetStatus, GetStatus, SetStatus, SetStatus, GetFeatures, SetFeatures, SetStatus, GetStatus, // reset … FEATURES_OK
                GetStatus, SetFeatures, GetInflightFd, SetInflightFd, AddMemReg,
                SetVringNum, SetVringBase, SetVringAddr, SetVringErr, SetVringCall, SetVringKick, SetVringEnable, SetStatus, // DRIVER_OK
                SetVringEnable, GetVringBase, ResetDevice, SetStatus, GetStatus,
            ],
            _peer.Messages.Select(message => message.Request));
        Assert.Equal([0, 1, 3, 11, 15, 0], _peer.Messages.Where(message => message.Request == SetStatus).Select(message => message.Payload[0]));
        Assert.All(_peer.Messages, message => Assert.Equal(
            message.Request.ToString().StartsWith("Get", StringComparison.Ordinal) || message.Request == SetProtocolFeatures ? Wire.Version : Wire.Version | Wire.NeedReply,
            message.Flags));
    }

    [Fact]
    public void With_the_least_of_protocols_the_order_is_the_old_one_with_a_barrier_at_the_end()
    {
        using (VhostUserFrontEnd frontEnd = _peer.Connect(new() { Withheld = VhostUserFrontEndOptions.Implemented }))
            Start(frontEnd).Dispose();

        Assert.Equal(
            [
                GetFeatures, GetProtocolFeatures, SetProtocolFeatures, SetOwner, GetFeatures, SetFeatures,
                SetFeatures, SetMemTable, SetVringNum, SetVringBase, SetVringAddr, SetVringErr, SetVringCall, SetVringKick, SetVringEnable, GetFeatures,
                SetVringEnable, GetVringBase,
            ],
            _peer.Messages.Select(message => message.Request));
        Assert.All(_peer.Messages, message => Assert.Equal(Wire.Version, message.Flags));
    }

    [Fact]
    public void A_back_end_without_protocol_features_is_not_asked_to_enable_rings()
    {
        _peer.Script[GetFeatures] = _ => Reply(GetFeatures, Wire.U64(Wire.Version1));
        using (VhostUserFrontEnd frontEnd = _peer.Connect())
            Start(frontEnd).Dispose();

        Assert.Equal(
            [GetFeatures, SetOwner, GetFeatures, SetFeatures, SetFeatures, SetMemTable, SetVringNum, SetVringBase, SetVringAddr, SetVringErr, SetVringCall, SetVringKick, GetFeatures, GetVringBase],
            _peer.Messages.Select(message => message.Request));
        Assert.Equal(Wire.Version1, BitConverter.ToUInt64(_peer.Messages.First(message => message.Request == SetFeatures).Payload));
    }

    [Fact]
    public void Rings_that_the_back_end_does_not_want_to_disable_are_taken_back_all_the_same()
    {
        _peer.Script[GetQueueNum] = _ => Reply(GetQueueNum, Wire.U64(2));
        _peer.Script[SetVringEnable] = heard => Reply(SetVringEnable, Wire.U64(heard.Payload[4] == 0 ? 22u : 0u));
        using VhostUserFrontEnd frontEnd = _peer.Connect();
        using DriverSession session = DriverSession.Open(frontEnd, DeviceId.Entropy);
        session.EnableQueue(0);
        session.EnableQueue(1);
        session.Start();

        frontEnd.WriteStatus(DeviceStatus.Reset);

        Assert.Equal([0, 1], _peer.Messages.Where(message => message.Request == GetVringBase).Select(message => message.Payload[0]));
        Assert.Equal([ResetDevice, SetStatus], _peer.Messages.TakeLast(2).Select(message => message.Request));
    }

    [Fact]
    [Proves("BACKEND_REQ", "vhost-user")]
    public void A_change_of_configuration_is_acknowledged_while_configuration_is_being_read()
    {
        _peer.Script[GetConfig] = heard =>
        {
            _peer.Ask(2, Wire.Version | Wire.NeedReply, []); // waits for our answer before it gives its own
            _peer.Answer(heard);
            return true;
        };
        using VhostUserFrontEnd frontEnd = _peer.Connect();
        uint before = frontEnd.ReadConfigurationGeneration();

        frontEnd.ReadConfiguration(0, new byte[4]);

        Assert.NotEqual(before, frontEnd.ReadConfigurationGeneration());
        Assert.Equal(InterruptSource.None, frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], TimeSpan.Zero));
        Assert.Equal(InterruptSource.Configuration, frontEnd.WaitForInterrupt([InterruptSource.Queue(0), InterruptSource.Configuration], Patience.Limit));
        Assert.Equal(InterruptSource.None, frontEnd.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_ring_in_error_is_a_notification_and_without_STATUS_it_is_NEEDS_RESET(bool hasStatus)
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect(new() { Withheld = hasStatus ? 0 : ProtocolFeatures.Status });
        using DriverSession session = Start(frontEnd);

        _peer.Error!.Signal();

        Assert.Equal(InterruptSource.Configuration, frontEnd.WaitForInterrupt([InterruptSource.Configuration], Patience.Limit));
        Assert.Equal(!hasStatus, session.NeedsReset);
    }

    [Fact]
    public void A_wait_of_no_time_takes_what_is_there_and_a_signal_stays_until_it_is_asked_for()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect();
        using DriverSession session = Start(frontEnd);
        InterruptSource queue = InterruptSource.Queue(0);
        Assert.Equal(InterruptSource.None, frontEnd.WaitForInterrupt([queue], TimeSpan.Zero));

        _peer.Call!.Signal();

        Assert.Equal(InterruptSource.None, frontEnd.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
        Assert.Equal(queue, frontEnd.WaitForInterrupt([InterruptSource.Configuration, queue], TimeSpan.Zero));
        Assert.Equal(InterruptSource.None, frontEnd.WaitForInterrupt([queue], TimeSpan.Zero));
    }

    [Fact]
    public void A_back_end_that_closed_its_own_socket_only_is_used_on()
    {
        using VhostUserFrontEnd frontEnd = _peer.Connect();
        using DriverSession session = Start(frontEnd);

        _peer.Requests!.Dispose();
        Assert.Equal(InterruptSource.None, frontEnd.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
        _peer.Call!.Signal();

        Assert.Equal(InterruptSource.Queue(0), frontEnd.WaitForInterrupt([InterruptSource.Queue(0)], Patience.Limit));
    }

    [Theory]
    [InlineData(60, 60, 8)]
    [InlineData(0, 60, 8)]
    [InlineData(96, 96, 8)]
    [InlineData(0, 7, 7)]
    public void Configuration_is_read_from_back_ends_that_answer_for_some_sizes_only(int least, int most, int wanted)
    {
        AnswerForSizes(least, most);
        using VhostUserFrontEnd frontEnd = _peer.Connect(device: DeviceId.Block);
        byte[] bytes = new byte[wanted];

        frontEnd.ReadConfiguration(0, bytes);
        byte[] high = new byte[2];
        frontEnd.ReadConfiguration(4, high);

        Assert.Equal(Enumerable.Range(1, wanted).Select(value => (byte)value), bytes);
        Assert.Equal([5, 6], high);
        Assert.Equal(most, frontEnd.ReadWholeConfiguration().Length);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(57)]
    [InlineData(256)]
    public void The_size_of_a_configuration_that_nobody_knows_is_found_out(int size)
    {
        AnswerForSizes(0, size);
        using VhostUserFrontEnd frontEnd = _peer.Connect(device: DeviceId.None);

        Assert.Equal(Enumerable.Range(1, size).Select(value => (byte)value), frontEnd.ReadWholeConfiguration());
        Assert.InRange(_peer.Messages.Count(message => message.Request == GetConfig), 1, 9);
    }

    [Fact]
    public void A_configuration_that_the_back_end_does_not_have_is_a_refusal_and_the_connection_goes_on()
    {
        AnswerForSizes(0, 0);
        using VhostUserFrontEnd frontEnd = _peer.Connect(device: DeviceId.Block);

        var refused = Assert.Throws<VhostUserException>(() => frontEnd.ReadConfiguration(0, new byte[8]));

        Assert.Equal((VhostUserFailure.Refused, GetConfig), (refused.Failure, refused.Request));
        Assert.Empty(frontEnd.ReadWholeConfiguration());
        Start(frontEnd, DeviceId.Block).Dispose();
        Assert.Throws<VhostUserException>(() => frontEnd.ReadConfiguration(250, new byte[8]));
    }

    [Fact]
    public void A_back_end_with_more_queues_than_the_protocol_can_number_is_used_as_far_as_it_can_be()
    {
        _peer.Script[GetQueueNum] = _ => Reply(GetQueueNum, Wire.U64(1024));
        using VhostUserFrontEnd frontEnd = _peer.Connect();

        Assert.Equal((256, 256, 0), (frontEnd.QueueCount, frontEnd.ReadMaxQueueSize(255), frontEnd.ReadMaxQueueSize(256)));
    }

    private bool Reply(FrontEndRequest request, byte[] payload)
    {
        _peer.Reply(request, payload);
        return true;
    }

    /// <summary>1, 2, 3, … from the start, whatever the offset, as libvhost-user does it.</summary>
    private void AnswerForSizes(int least, int most) => _peer.Script[GetConfig] = heard =>
    {
        int size = heard.Payload.Length - 12;
        byte[] bytes = [.. Enumerable.Range(1, size).Select(value => (byte)value)];
        return Reply(GetConfig, size >= least && size <= most ? [.. heard.Payload[..12], .. bytes] : []);
    };

    private static DriverSession Start(VhostUserFrontEnd frontEnd, DeviceId device = DeviceId.Entropy)
    {
        DriverSession session = DriverSession.Open(frontEnd, device);
        session.EnableQueue(0);
        session.Start();
        return session;
    }
}
