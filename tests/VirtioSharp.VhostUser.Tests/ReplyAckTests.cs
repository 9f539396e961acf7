using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

[Proves("REPLY_ACK", "vhost-user")]
public sealed class ReplyAckTests : IDisposable
{
    private readonly ServedDevice _served = new();
    private readonly FrontEnd _frontEnd;

    public ReplyAckTests() => _frontEnd = _served.Connect();

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
    }

    [Fact]
    public void A_request_for_a_reply_is_ignored_until_the_feature_is_negotiated()
    {
        _frontEnd.SendNeedingReply(FrontEndRequest.SetOwner);

        _frontEnd.Barrier(); // the answer to this comes first
    }

    [Fact]
    public void Once_negotiated_a_message_is_answered_if_it_asks()
    {
        _frontEnd.Negotiate(ProtocolFeatures.ReplyAck);

        Assert.Equal(0UL, _frontEnd.Acknowledged(FrontEndRequest.SetOwner));

        _frontEnd.Send(FrontEndRequest.SetOwner);
        _frontEnd.Barrier();
    }

    [Fact]
    public void A_message_with_a_reply_of_its_own_is_not_answered_twice()
    {
        _frontEnd.Negotiate(ProtocolFeatures.ReplyAck);

        _frontEnd.SendNeedingReply(FrontEndRequest.GetProtocolFeatures);

        Assert.Equal(8, _frontEnd.Reply(FrontEndRequest.GetProtocolFeatures).Length);
        _frontEnd.Barrier();
    }

    [Fact]
    public void A_message_that_breaks_the_rules_is_refused_before_the_connection_is_closed()
    {
        _frontEnd.Negotiate(ProtocolFeatures.ReplyAck);

        Assert.Equal(1UL, _frontEnd.Acknowledged(FrontEndRequest.SetVringBase, Wire.State(0, 0x10000)));

        Assert.Null(_frontEnd.Receive());
        Assert.Equal("ring 0: base = 0x10000 is more than 16 bits", _served.NextReport().Ended);
    }

    [Fact]
    public void A_message_that_breaks_the_rules_is_reported_also_when_nobody_waits_for_the_refusal()
    {
        _frontEnd.Negotiate(ProtocolFeatures.ReplyAck);

        _frontEnd.SendNeedingReply(FrontEndRequest.SetVringBase, Wire.State(0, 0x10000));
        _frontEnd.Dispose();

        Assert.Equal("ring 0: base = 0x10000 is more than 16 bits", _served.NextReport().Ended);
    }
}
