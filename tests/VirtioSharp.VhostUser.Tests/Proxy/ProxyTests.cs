using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Proxy;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Proxy;

/// <summary>Between a front-end and a back-end: nothing changes for them, and everything is told.</summary>
[Collection(Alone.Name)]
[Proves("Proxy", "vhost-user")]
public sealed class ProxyTests : IDisposable
{
    private readonly ServedDevice _served = new(new ConfigurableDevice());
    private readonly RunningProxy _proxy;

    public ProxyTests() => _proxy = new RunningProxy(_served.SocketPath);

    public void Dispose()
    {
        _proxy.Dispose();
        _served.Dispose();
    }

    [Theory]
    [InlineData(int.MaxValue)]
    [InlineData(1)]
    [InlineData(13)]
    public void A_whole_session_works_however_its_bytes_are_cut(int pieces)
    {
        using (FrontEnd frontEnd = _proxy.Connect())
        using (var ram = new GuestRam())
        using (var ring = new GuestRing(ram))
        {
            frontEnd.PieceSize = pieces;
            frontEnd.Start(ram, ring);
            Assert.Equal(2u, ring.Serve());
        }

        ProxiedSession ended = _proxy.NextEnd();
        Assert.Equal((1, null), (ended.Number, ended.Ended));
        Assert.Equal(FrontEnd.UsualProtocol, ended.ProtocolFeatures);
        Assert.Empty(_proxy.Remarks);
        ProxiedMessage memory = _proxy.Find(message => message is { Name: "ADD_MEM_REG", IsReply: false });
        Assert.StartsWith("guest 0x", Assert.Single(memory.Fields), StringComparison.Ordinal);
        Assert.Contains("memfd:", Assert.Single(memory.Descriptors), StringComparison.Ordinal);
        ProxiedMessage done = _proxy.Find(message => message is { Name: "ADD_MEM_REG", IsReply: true });
        Assert.Equal((ProxySender.BackEnd, "done"), (done.Sender, Assert.Single(done.Fields)));
        Assert.NotNull(done.Took);
        Assert.Null(_served.NextReport().Ended);
    }

    [Fact]
    public void The_back_ends_own_requests_go_through_too()
    {
        using FrontEnd frontEnd = _proxy.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram, GuestRing.Extent, index: 1);
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using (ours)
        using (theirs)
        {
            frontEnd.Negotiate(FrontEnd.UsualProtocol | ProtocolFeatures.Config);
            frontEnd.Do(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
            frontEnd.SetFeatures(FrontEnd.ModernFeatures);
            frontEnd.AddMemory(ram);
            frontEnd.StartRing(ring);

            ring.Serve();

            Assert.True(Readiness.WaitReadable(ours.Descriptor, Patience.Limit), "no CONFIG_CHANGE came through");
            ProxiedMessage change = _proxy.Find(message => message.IsBackEndChannel);
            Assert.Equal(("BACKEND_CONFIG_CHANGE_MSG", ProxySender.BackEnd, false), (change.Name, change.Sender, change.IsReply));
        }
    }

    [Fact]
    public void Sessions_leave_nothing_behind()
    {
        OneSession();
        using var leaks = new LeakCheck();

        for (int i = 0; i < 20; i++)
            OneSession();

        leaks.AssertNothingIsLeft();

        void OneSession()
        {
            using (FrontEnd frontEnd = _proxy.Connect())
            {
                (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
                using (ours)
                using (theirs)
                {
                    frontEnd.Negotiate();
                    frontEnd.Do(FrontEndRequest.SetBackEndReqFd, [], theirs.Descriptor);
                    frontEnd.Barrier();
                }
            }

            Assert.Null(_proxy.NextEnd().Ended);
            _served.NextReport();
            _proxy.Forget();
            _served.Forget();
        }
    }

    [Fact]
    public void What_is_no_message_is_passed_on_and_the_back_end_decides()
    {
        using (FrontEnd frontEnd = _proxy.Connect())
        {
            frontEnd.SendRaw([.. Wire.Header(1, 0, 0), 1, 2, 3]);
            frontEnd.AssertClosed();
        }

        Assert.Contains("the version is not 1", _served.NextReport().Ended, StringComparison.Ordinal);
        Assert.StartsWith("the back-end hung up", _proxy.NextEnd().Ended, StringComparison.Ordinal);
        Assert.Contains(_proxy.Remarks, remark => remark.Contains("no vhost-user message", StringComparison.Ordinal));
    }

    [Fact]
    public void A_refusal_still_reaches_the_front_end_when_the_back_end_hangs_up_after_it()
    {
        using (FrontEnd frontEnd = _proxy.Connect())
        {
            frontEnd.Negotiate();

            Assert.Equal(1UL, frontEnd.Acknowledged(FrontEndRequest.SetFeatures, Wire.U64(1UL << 50)));
            frontEnd.AssertClosed();
        }

        _proxy.NextEnd();
        Assert.Contains(_proxy.Remarks, remark => remark.StartsWith("50 is accepted but was not offered", StringComparison.Ordinal));
        Assert.Contains("the back-end refuses SET_FEATURES; its own log says why", _proxy.Remarks);
    }

    [Fact]
    public void A_front_end_that_leaves_in_the_middle_of_a_message_is_told_of()
    {
        using (FrontEnd frontEnd = _proxy.Connect())
            frontEnd.SendRaw(Wire.Header(2, 1, 8));

        Assert.Equal("the front-end left in the middle of a message, after 12 bytes of it", _proxy.NextEnd().Ended);
    }

    [Fact]
    public void Without_a_back_end_the_front_end_is_hung_up_on_and_the_next_one_is_served()
    {
        using var directory = new TemporaryDirectory();
        using var proxy = new RunningProxy(directory["b"]);
        using (FrontEnd early = proxy.Connect())
            early.AssertClosed();
        Assert.StartsWith($"no back-end answers at {directory["b"]}", proxy.NextEnd().Ended, StringComparison.Ordinal);
        using UnixListener listener = UnixListener.Listen(directory["b"]);
        using FrontEnd late = proxy.Connect();

        late.Send(FrontEndRequest.SetOwner);

        using UnixSocket accepted = listener.Accept()!;
        Assert.True(Readiness.WaitReadable(accepted.Descriptor, Patience.Limit));
    }

    [Fact]
    public void A_back_end_that_does_not_answer_is_named_while_the_front_end_waits()
    {
        using var directory = new TemporaryDirectory();
        using UnixListener silent = UnixListener.Listen(directory["b"]);
        using var proxy = new RunningProxy(directory["b"]);
        using (FrontEnd frontEnd = proxy.Connect())
        {
            frontEnd.Send(FrontEndRequest.GetFeatures);

            ProxiedMessage said = proxy.Find(message => message.Sender == ProxySender.Proxy);
            Assert.Matches("GET_FEATURES has waited [0-9]+ s for its answer: the back-end is stuck", Assert.Single(said.Remarks));
        }

        Assert.Equal("the front-end left while it waited for the answer to GET_FEATURES", proxy.NextEnd().Ended);
    }
}
