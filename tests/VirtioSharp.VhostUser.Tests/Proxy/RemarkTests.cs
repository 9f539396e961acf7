using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Proxy;

/// <summary>The sentences that explain a session which does not work: each against a back-end or a front-end that does just that.</summary>
public sealed class RemarkTests : IDisposable
{
    private const uint GetFeatures = 1, GetProtocolFeatures = 15, GetQueueNum = 17, GetConfig = 24, GetInflight = 31;

    private readonly TemporaryDirectory _directory = new();
    private readonly UnixListener _listener;
    private readonly RunningProxy _proxy;
    private readonly FrontEnd _frontEnd;
    private readonly FrontEnd _backEnd; // sends what it is told to, too

    public RemarkTests()
    {
        _listener = UnixListener.Listen(_directory["b"]);
        _proxy = new RunningProxy(_directory["b"]);
        _frontEnd = _proxy.Connect();
        _backEnd = new FrontEnd(_listener.Accept()!);
    }

    public void Dispose()
    {
        _frontEnd.Dispose();
        _backEnd.Dispose();
        _proxy.Dispose();
        _listener.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public void A_back_end_without_protocol_features()
    {
        Answer(GetFeatures, Wire.U64(Wire.Version1));

        AssertRemarked("PROTOCOL_FEATURES(30) is not offered: QEMU 7.2 aborts with a vhost-user-rng");
    }

    [Theory]
    [InlineData(14, "bit 14 (INBAND_NOTIFICATIONS) was offered; QEMU acknowledges it but does not implement it")]
    [InlineData(17, "bit 17 (XEN_MMAP) was offered; QEMU acknowledges it but does not implement it")]
    public void A_protocol_feature_that_QEMU_acknowledges_and_does_not_implement(int bit, string remark)
    {
        Answer(GetProtocolFeatures, Wire.U64(1UL << bit));
        Send(FrontEndRequest.SetProtocolFeatures, Wire.U64(1UL << bit));

        AssertRemarked(remark);
    }

    [Fact]
    public void A_protocol_feature_that_was_not_offered()
    {
        Answer(GetProtocolFeatures, Wire.U64(1));
        Send(FrontEndRequest.SetProtocolFeatures, Wire.U64(9));

        AssertRemarked("REPLY_ACK(3) is accepted but was not offered");
    }

    [Fact]
    public void A_message_of_a_protocol_feature_that_was_not_agreed_on()
    {
        Answer(GetQueueNum, Wire.U64(1));

        AssertRemarked("GET_QUEUE_NUM belongs to MQ(0), which was not agreed on");
    }

    [Fact]
    public void A_translation_where_there_is_no_IOMMU()
    {
        Answer((uint)FrontEndRequest.IotlbMsg, Wire.U64(1), asked: Wire.Iotlb(0x1000, 4096, 0x2000, 1, 2));

        AssertRemarked("IOTLB_MSG belongs to ACCESS_PLATFORM(33), which was not accepted");
    }

    [Fact]
    public void A_ring_that_is_to_run_without_memory()
    {
        using EventFd kick = EventFd.Create();
        Answer(GetFeatures, Wire.U64(Wire.ProtocolFeatures | Wire.Version1));
        Send(FrontEndRequest.SetVringKick, Wire.U64(0), kick.Descriptor);
        Send(FrontEndRequest.SetVringEnable, Wire.State(0, 1));

        AssertRemarked("the ring is to run, but no memory was shared: guest RAM is not share=on, and no memory will ever arrive");
    }

    [Fact]
    public void A_ring_that_does_not_exist()
    {
        Answer(GetProtocolFeatures, Wire.U64(1));
        Send(FrontEndRequest.SetProtocolFeatures, Wire.U64(1));
        Answer(GetQueueNum, Wire.U64(2));
        Send(FrontEndRequest.SetVringEnable, Wire.State(2, 1));

        AssertRemarked("ring 2 is one too many: the back-end said that it has 2");
    }

    [Fact]
    public void An_in_flight_answer_without_its_padding()
    {
        Answer(GetInflight, new byte[20], asked: new byte[20]);

        AssertRemarked("20 bytes, where the specification's structure has 24 with its padding");
    }

    [Fact]
    public void An_empty_configuration()
    {
        Answer(GetConfig, [], asked: Wire.Config(0, 8, new byte[8]));

        AssertRemarked("size 0: the back-end has no such configuration space");
    }

    [Fact]
    public void An_answer_to_something_else()
    {
        Answer(GetFeatures, Wire.U64(0), answering: GetProtocolFeatures);

        AssertRemarked("it answers GET_PROTOCOL_FEATURES, but GET_FEATURES was asked");
    }

    [Fact]
    public void An_answer_with_flags_that_QEMU_does_not_take()
    {
        Answer(GetFeatures, Wire.U64(Wire.ProtocolFeatures), flags: Wire.Version);

        AssertRemarked("flags = 0x1: QEMU takes nothing but 0x5");
    }

    [Fact]
    public void An_answer_that_nobody_waits_for()
    {
        _backEnd.SendRaw([.. Wire.Header(GetFeatures, Wire.Version | Wire.Reply, 8), .. Wire.U64(0)]);

        AssertRemarked("nothing was asked: the front-end will take this for the answer to its next request");
    }

    [Fact]
    public void A_missing_descriptor_and_one_too_many()
    {
        using EventFd kick = EventFd.Create();
        Send(FrontEndRequest.SetVringKick, Wire.U64(0));
        Send(FrontEndRequest.SetOwner, [], kick.Descriptor);

        AssertRemarked("SET_VRING_KICK came without its file descriptor");
        AssertRemarked("1 file descriptors came with SET_OWNER, where none belong");
    }

    [Fact]
    public void A_question_that_nobody_will_answer()
    {
        _frontEnd.SendNeedingReply(FrontEndRequest.SetOwner);

        AssertRemarked("NEED_REPLY is set, but REPLY_ACK was not agreed on: nobody will answer");
    }

    [Fact]
    public void A_number_that_is_no_request()
    {
        _frontEnd.SendRaw(Wire.Header(99, Wire.Version, 0));

        AssertRemarked("request 99 is not in the specification");
    }

    [Fact]
    public void A_back_end_that_hangs_up_instead_of_answering()
    {
        Send(FrontEndRequest.GetFeatures, []);
        _proxy.Find(message => message.Name == "GET_FEATURES");
        _backEnd.Receive();
        _backEnd.Dispose();

        Assert.Equal("the back-end hung up instead of answering GET_FEATURES: its log says why", _proxy.NextEnd().Ended);
    }

    private void Send(FrontEndRequest request, byte[] payload, params FileDescriptor[] fds) => _frontEnd.Send(request, payload, fds);

    /// <summary>The front-end asks, and the back-end answers like this.</summary>
    private void Answer(uint request, byte[] reply, byte[]? asked = null, uint? answering = null, uint flags = Wire.Version | Wire.Reply)
    {
        int passed = _proxy.Messages.Count;
        _frontEnd.Send((FrontEndRequest)request, asked ?? []);
        Assert.True(Patience.Until(() => _proxy.Messages.Count > passed));
        _backEnd.SendRaw([.. Wire.Header(answering ?? request, flags, (uint)reply.Length), .. reply]);
        Assert.True(Patience.Until(() => _proxy.Messages.Count > passed + 1));
    }

    private void AssertRemarked(string beginning) =>
        Assert.True(Patience.Until(() => _proxy.Remarks.Any(remark => remark.StartsWith(beginning, StringComparison.Ordinal))), string.Join("\n", _proxy.Remarks));
}
