using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.FrontEnds;

/// <summary>Whatever a back-end answers, its front-end ends with an exception that names it, in bounded time, and leaks nothing.</summary>
[Collection(Alone.Name)]
[Proves("Hostile back-end", "vhost-user")]
public sealed class HostileBackEndTests
{
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200); // what silence costs a test

    /// <summary>Answers in place of the right one, to each of the questions that open a session.</summary>
    public static TheoryData<FrontEndRequest, uint, uint, uint, string> Headers
    {
        get
        {
            var data = new TheoryData<FrontEndRequest, uint, uint, uint, string>();
            FrontEndRequest[] questions = [FrontEndRequest.GetFeatures, FrontEndRequest.GetProtocolFeatures, FrontEndRequest.GetQueueNum, FrontEndRequest.GetMaxMemSlots, FrontEndRequest.SetOwner];
            foreach (FrontEndRequest question in questions)
            {
                uint number = (uint)question;
                string name = MessageFacts.NameOf(number);
                data.Add(question, number, 5, 0, $"size = 0x0 of the answer to {name}: it has 8 bytes");
                data.Add(question, number, 5, 9, $"size = 0x9 of the answer to {name}: it has 8 bytes");
                data.Add(question, number, 5, uint.MaxValue, $"size = 0xffffffff of the answer to {name}: it has 8 bytes");
                data.Add(question, number + 1, 5, 8, $"request = {number + 1} in the answer to {name}, which is {number}");
                data.Add(question, number, 1, 8, $"flags = 0x1 of the answer to {name}: not version 1 and REPLY");
                data.Add(question, number, 4, 8, $"flags = 0x4 of the answer to {name}: not version 1 and REPLY");
                data.Add(question, number, 6, 8, $"flags = 0x6 of the answer to {name}: not version 1 and REPLY");
            }

            return data;
        }
    }

    public static TheoryData<FrontEndRequest, string> BackEndRequests => new()
    {
        { 0, "request 0 belongs to a protocol feature that was not negotiated" },
        { (FrontEndRequest)1, "request 1 belongs" }, // IOTLB_MSG
        { (FrontEndRequest)3, "request 3 belongs" }, // VRING_HOST_NOTIFIER
        { (FrontEndRequest)0xFFFF_FFFF, "request 4294967295 belongs" },
    };

    [Theory]
    [MemberData(nameof(Headers))]
    public void An_answer_with_a_wrong_header(FrontEndRequest question, uint request, uint flags, uint size, string expected) => AssertRefused(
        VhostUserFailure.BrokenRules,
        expected,
        peer => peer.Script[question] = _ => Say(peer, [.. Wire.Header(request, flags, size), .. new byte[8]]));

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(12)]
    [InlineData(19)]
    public void Half_an_answer_and_then_silence(int bytes) => AssertRefused(
        VhostUserFailure.TimedOut,
        $"has not answered GET_FEATURES within 0.2 s ({bytes} bytes have come)",
        peer => peer.Script[FrontEndRequest.GetFeatures] = _ => Say(peer, GoodFeatures[..bytes]),
        timeout: Short);

    [Theory]
    [InlineData(0)]
    [InlineData(5)]
    [InlineData(12)]
    [InlineData(19)]
    public void Half_an_answer_and_then_the_end(int bytes) => AssertRefused(
        VhostUserFailure.Lost,
        "has closed the connection and not answered GET_FEATURES",
        peer => peer.Script[FrontEndRequest.GetFeatures] = _ => Say(peer, GoodFeatures[..bytes]) && peer.HangUp());

    [Theory]
    [InlineData(1)]
    [InlineData(253)]
    public void File_descriptors_with_an_answer_that_has_none(int count) => AssertRefused(
        VhostUserFailure.BrokenRules,
        "file descriptors: none belong there",
        peer => peer.Script[FrontEndRequest.GetFeatures] = _ =>
        {
            using FileDescriptor fd = Descriptors.Of("eventfd");
            peer.Send(GoodFeatures, [.. Enumerable.Repeat(fd, count)]);
            return true;
        });

    [Theory]
    [InlineData(FrontEndRequest.GetQueueNum, 0UL, "GET_QUEUE_NUM: 0 queues")]
    [InlineData(FrontEndRequest.GetQueueNum, 65536UL, "GET_QUEUE_NUM: 65536 queues")]
    [InlineData(FrontEndRequest.GetQueueNum, ulong.MaxValue, "GET_QUEUE_NUM: 18446744073709551615 queues")]
    [InlineData(FrontEndRequest.GetMaxMemSlots, 0UL, "GET_MAX_MEM_SLOTS: 0 slots")]
    [InlineData(FrontEndRequest.GetStatus, 256UL, "GET_STATUS: status = 0x100")]
    public void A_number_that_cannot_be(FrontEndRequest question, ulong answer, string expected) => AssertRefused(
        VhostUserFailure.BrokenRules,
        expected,
        peer => peer.Script[question] = _ => Reply(peer, question, Wire.U64(answer)));

    [Theory]
    [InlineData(FrontEndRequest.SetOwner)]
    [InlineData(FrontEndRequest.SetBackEndReqFd)]
    [InlineData(FrontEndRequest.SetFeatures)]
    [InlineData(FrontEndRequest.AddMemReg)]
    [InlineData(FrontEndRequest.SetVringAddr)]
    [InlineData(FrontEndRequest.SetVringKick)]
    public void A_refusal_names_the_message(FrontEndRequest message) => AssertRefused(
        VhostUserFailure.Refused,
        $"the back-end refused {MessageFacts.NameOf((uint)message)}: it answered 22",
        peer => peer.Script[message] = _ => Reply(peer, message, Wire.U64(22)));

    [Theory]
    [InlineData(4096UL, 1UL, "mmap size = 0x1000 at mmap offset = 0x1 is not within the file's 0x1000 bytes")]
    [InlineData(4097UL, 0UL, "mmap size = 0x1001 at mmap offset = 0x0 is not within")]
    [InlineData(ulong.MaxValue, 2UL, "mmap size = 0xffffffffffffffff at mmap offset = 0x2 is not within")]
    [InlineData(1UL, ulong.MaxValue, "mmap size = 0x1 at mmap offset = 0xffffffffffffffff is not within")]
    public void An_in_flight_buffer_beyond_its_file(ulong size, ulong offset, string expected) => AssertRefused(
        VhostUserFailure.BrokenRules,
        expected,
        peer => peer.Script[FrontEndRequest.GetInflightFd] = _ =>
        {
            using FileDescriptor file = MemFd.Create("in-flight", 4096);
            peer.Reply(FrontEndRequest.GetInflightFd, ScriptedBackEnd.Inflight(size, offset), file);
            return true;
        });

    [Fact]
    public void An_in_flight_buffer_without_a_file() => AssertRefused(
        VhostUserFailure.BrokenRules,
        "GET_INFLIGHT_FD came without a file descriptor, and mmap size = 4096",
        peer => peer.Script[FrontEndRequest.GetInflightFd] = _ => Reply(peer, FrontEndRequest.GetInflightFd, ScriptedBackEnd.Inflight(4096, 0)));

    [Fact]
    public void An_in_flight_answer_without_its_padding() => AssertRefused(
        VhostUserFailure.BrokenRules,
        "size = 0x14 of the answer to", // 20 bytes in place of 24
        peer => peer.Script[FrontEndRequest.GetInflightFd] = _ => Reply(peer, FrontEndRequest.GetInflightFd, ScriptedBackEnd.Inflight(4096, 0)[..20]));

    [Theory]
    [InlineData(4u, 4u, 4, "GET_CONFIG: 4 bytes at 4 in an answer of 4, where 4 at 0 were asked for")]
    [InlineData(0u, 5u, 4, "GET_CONFIG: 5 bytes at 0 in an answer of 4")]
    [InlineData(0u, 4u, 0, "GET_CONFIG: 4 bytes at 0 in an answer of 0")]
    [InlineData(0u, 0xFFFF_FFFFu, 4, "GET_CONFIG: 4294967295 bytes at 0")]
    [InlineData(0u, 8u, 8, "size = 0x14 of the answer to GET_CONFIG: it has 16 or 12 or 0 bytes")]
    public void Configuration_space_of_another_size_than_asked(uint offset, uint size, int bytes, string expected) => AssertRefused(
        VhostUserFailure.BrokenRules,
        expected,
        peer => peer.Script[FrontEndRequest.GetConfig] = _ => Reply(peer, FrontEndRequest.GetConfig, Wire.Config(offset, size, new byte[bytes])),
        frontEnd => frontEnd.ReadConfiguration(0, new byte[4]));

    [Fact]
    public void Another_ring_than_the_one_that_was_stopped() => AssertRefused(
        VhostUserFailure.BrokenRules,
        "GET_VRING_BASE: ring 7 in the answer about ring 0",
        peer => peer.Script[FrontEndRequest.GetVringBase] = _ => Reply(peer, FrontEndRequest.GetVringBase, Wire.State(7, 0)),
        frontEnd =>
        {
            using DriverSession session = Start(frontEnd);
            frontEnd.WriteStatus(Spec.DeviceStatus.Reset);
        });

    [Theory]
    [MemberData(nameof(BackEndRequests))]
    public void A_request_of_the_back_end_that_was_not_negotiated(FrontEndRequest request, string expected) => AssertRefused(
        VhostUserFailure.BrokenRules, expected, _ => { }, (frontEnd, peer) => Wait(frontEnd, peer, (uint)request, Wire.Version, []));

    [Theory]
    [InlineData(2u, 0u, 0, "flags = 0x0 of the back-end's request 2")]
    [InlineData(2u, 2u, 0, "flags = 0x2 of the back-end's request 2")]
    [InlineData(2u, 5u, 0, "flags = 0x5 of the back-end's request 2")]
    [InlineData(2u, 1u, 8, "size = 8 of the back-end's BACKEND_CONFIG_CHANGE_MSG: it has 0 bytes")]
    [InlineData(0x20202020u, 0x20202020u, 200, "flags = 0x20202020 of the back-end's request 538976288")]
    public void A_request_of_the_back_end_that_is_garbage(uint request, uint flags, int bytes, string expected) => AssertRefused(
        VhostUserFailure.BrokenRules, expected, _ => { }, (frontEnd, peer) => Wait(frontEnd, peer, request, flags, new byte[bytes]));

    [Fact]
    public void File_descriptors_with_a_request_of_the_back_end() => AssertRefused(VhostUserFailure.BrokenRules, "came with file descriptors", _ => { }, (frontEnd, peer) =>
    {
        using FileDescriptor fd = Descriptors.Of("eventfd");
        peer.Ask(2, Wire.Version, [], fd, fd);
        frontEnd.WaitForInterrupt([InterruptSource.Configuration], Patience.Limit);
    });

    [Fact]
    public void An_answer_to_nothing() => AssertRefused(VhostUserFailure.BrokenRules, "nothing was asked", _ => { }, (frontEnd, peer) =>
    {
        peer.Send(GoodFeatures);
        frontEnd.WaitForInterrupt([InterruptSource.Configuration], Patience.Limit);
    });

    [Fact]
    public void Requests_without_end_in_place_of_an_answer() => AssertRefused(
        VhostUserFailure.TimedOut,
        "has not answered GET_CONFIG within 0.2 s",
        peer => peer.Script[FrontEndRequest.GetConfig] = _ =>
        {
            while (true)
                peer.Ask(2, Wire.Version, []); // until the front-end has gone
        },
        frontEnd => frontEnd.ReadConfiguration(0, new byte[4]),
        timeout: Short);

    [Fact]
    public void A_miss_more_before_each_translation_is_acknowledged()
    {
        ulong address = 0;
        void Miss(ScriptedBackEnd peer) => peer.Ask(1, Wire.Version, Wire.Iotlb(address, 0, 0, permission: 1, type: 1));
        AssertRefused(
            VhostUserFailure.TimedOut,
            "has not answered IOTLB_MSG within 0.2 s",
            peer =>
            {
                bool isOwed = false;
                peer.Script[FrontEndRequest.GetFeatures] = _ => Reply(peer, FrontEndRequest.GetFeatures, Wire.U64(ScriptedBackEnd.Features | Wire.AccessPlatform));
                peer.Script[FrontEndRequest.IotlbMsg] = _ =>
                {
                    Miss(peer);
                    if (isOwed)
                        peer.Reply(FrontEndRequest.IotlbMsg, Wire.U64(0)); // to the one before: there is always one left to wait for
                    return isOwed = true;
                };
            },
            (frontEnd, peer) =>
            {
                address = frontEnd.Dma.Region.Start.Value;
                Miss(peer);
                frontEnd.WaitForInterrupt([InterruptSource.Configuration], Patience.Limit);
            },
            timeout: Short);
    }

    [Fact]
    public void Coming_back_again_and_again_and_dying_of_the_same_question() => AssertRefused(
        VhostUserFailure.Lost,
        "has closed the connection and not answered GET_CONFIG",
        peer => peer.Script[FrontEndRequest.GetConfig] = _ => peer.HangUp(),
        (frontEnd, peer) =>
        {
            try
            {
                frontEnd.ReadConfiguration(0, new byte[4]);
            }
            finally
            {
                Assert.InRange(peer.Messages.Count(message => message.Request == FrontEndRequest.GetConfig), 2, int.MaxValue);
            }
        },
        reconnect: Short);

    [Fact]
    public void A_socket_at_which_nobody_accepts()
    {
        using var directory = new TemporaryDirectory();
        using UnixListener listener = UnixListener.Listen(directory["s"], backlog: 0);
        using UnixSocket first = UnixSocket.Connect(directory["s"]); // has the only place in its queue

        var thrown = Assert.Throws<VhostUserException>(() => VhostUserFrontEnd.Connect(directory["s"], Spec.DeviceId.Entropy, new() { ReplyTimeout = Short }));

        Assert.Contains("the back-end accepts no connection: connect ", thrown.Message, StringComparison.Ordinal);
        Assert.Equal(VhostUserFailure.TimedOut, thrown.Failure);
    }

    private static byte[] GoodFeatures => [.. Wire.Header(1, Wire.Version | Wire.Reply, 8), .. Wire.U64(ScriptedBackEnd.Features)];

    private static bool Say(ScriptedBackEnd peer, byte[] bytes)
    {
        if (bytes.Length > 0)
            peer.Send(bytes);
        return true;
    }

    private static bool Reply(ScriptedBackEnd peer, FrontEndRequest request, byte[] payload)
    {
        peer.Reply(request, payload);
        return true;
    }

    private static void Wait(VhostUserFrontEnd frontEnd, ScriptedBackEnd peer, uint request, uint flags, byte[] payload)
    {
        peer.Ask(request, flags, payload);
        frontEnd.WaitForInterrupt([InterruptSource.Configuration], Patience.Limit);
    }

    private static DriverSession Start(VhostUserFrontEnd frontEnd)
    {
        DriverSession session = DriverSession.Open(frontEnd, Spec.DeviceId.Entropy);
        session.EnableQueue(0);
        session.Start();
        return session;
    }

    private static void AssertRefused(VhostUserFailure failure, string expected, Action<ScriptedBackEnd> script, Action<VhostUserFrontEnd>? use = null, TimeSpan? timeout = null) =>
        AssertRefused(failure, expected, script, (frontEnd, _) =>
        {
            if (use is not null)
                use(frontEnd);
            else
                Start(frontEnd).Dispose();
        }, timeout);

    private static void AssertRefused(VhostUserFailure failure, string expected, Action<ScriptedBackEnd> script, Action<VhostUserFrontEnd, ScriptedBackEnd> use, TimeSpan? timeout = null, TimeSpan reconnect = default)
    {
        Misbehave(failure, expected, script, use, timeout, reconnect); // what is compiled and loaded for the first time is no leak
        using var leaks = new LeakCheck();

        Misbehave(failure, expected, script, use, timeout, reconnect);

        leaks.AssertNothingIsLeft();
    }

    private static void Misbehave(VhostUserFailure failure, string expected, Action<ScriptedBackEnd> script, Action<VhostUserFrontEnd, ScriptedBackEnd> use, TimeSpan? timeout, TimeSpan reconnect)
    {
        using var peer = new ScriptedBackEnd();
        script(peer);

        var thrown = Assert.Throws<VhostUserException>(() =>
        {
            using VhostUserFrontEnd frontEnd = peer.Connect(new() { ReplyTimeout = timeout ?? Patience.Limit, ReconnectTimeout = reconnect, IotlbEntryBytes = 4096 });
            use(frontEnd, peer);
        });

        Assert.Contains(expected, thrown.Message, StringComparison.Ordinal);
        Assert.Equal(failure, thrown.Failure);
        Assert.IsType<TransportException>(thrown, exactMatch: false);
    }
}
