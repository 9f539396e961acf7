using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;
using static VirtioSharp.VhostUser.Protocol.FrontEndRequest;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>Kicks, calls and errors as messages, where both ends asked for it.</summary>
[Proves("INBAND_NOTIFICATIONS", "vhost-user")]
public sealed class InBandTests : IDisposable
{
    private const ProtocolFeatures Protocol = FrontEnd.UsualProtocol | ProtocolFeatures.InbandNotifications;
    private const uint VringCall = 4, VringErr = 5;

    private static readonly VhostUserOptions Offering = new() { Added = ProtocolFeatures.InbandNotifications };
    private static readonly VhostUserFrontEndOptions Accepting = new() { Added = ProtocolFeatures.InbandNotifications };

    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring;

    public InBandTests() => _ring = new GuestRing(_ram);

    public void Dispose()
    {
        _ring.Dispose();
        _ram.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Our_driver_works_without_a_single_eventfd(bool packed)
    {
        using var served = new ServedDevice(options: Offering);
        using (VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, Accepting with { WithheldFeatures = packed ? default : Features.RingPacked }))
        using (var driver = new RngDriver(frontEnd))
        {
            byte[] bytes = new byte[100_000];
            Assert.Equal(bytes.Length, driver.Read(bytes, Patience.Limit));
            Assert.All(bytes.Chunk(1000), chunk => Assert.Contains(chunk, value => value != 0));
        }

        IReadOnlyDictionary<string, int> messages = served.NextReport().Messages;
        Assert.True(messages["VRING_KICK"] > 1);
        foreach (string descriptor in new[] { "SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR" })
            Assert.False(messages.ContainsKey(descriptor), $"{descriptor} was sent");
    }

    [Fact]
    public void A_device_that_gives_up_says_so_in_band()
    {
        using var served = new ServedDevice(new MoodyDevice { Mood = new DeviceException("in a mood") }, Offering with { Withheld = ProtocolFeatures.Status });
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, Accepting);
        using DriverSession session = DriverSession.Open(frontEnd, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        Assert.True(queue.TryAdd([], [frontEnd.Dma.Allocate(16)], out _));

        queue.Kick();

        Assert.Throws<DeviceException>(() => session.Wait(Patience.Limit));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_ring_is_started_and_kicked_by_messages_and_calls_by_one(bool saysNoFd)
    {
        using var served = new ServedDevice(options: Offering);
        using FrontEnd frontEnd = served.Connect();
        using UnixSocket requests = Prepare(frontEnd);
        if (saysNoFd)
        {
            frontEnd.Do(SetVringCall, Wire.U64(Wire.NoFd));
            frontEnd.Do(SetVringErr, Wire.U64(Wire.NoFd));
            frontEnd.Do(SetVringKick, Wire.U64(Wire.NoFd));
        }

        _ring.OfferBuffer();
        frontEnd.Do(VringKick, Wire.State(0, 0));
        frontEnd.Do(SetVringEnable, Wire.State(0, 1));

        Assert.Equal((VringCall, 0u), Hear(requests));
        Assert.Equal(1, _ring.UsedIndex);
        _ring.UsedEvent = 1; // the next, too
        _ring.OfferBuffer();
        frontEnd.Do(VringKick, Wire.State(0, 0));
        Assert.True(Patience.Until(() => _ring.UsedIndex == 2));
        Assert.False(Readiness.WaitReadable(requests.Descriptor, TimeSpan.FromMilliseconds(50)), "a second call before the first is answered");
        Answer(requests, VringCall);
        Assert.Equal((VringCall, 0u), Hear(requests));
        Assert.Equal(2u, frontEnd.StopRing(_ring));
    }

    [Fact]
    public void A_descriptor_is_preferred_where_there_is_one()
    {
        using var served = new ServedDevice(options: Offering);
        using FrontEnd frontEnd = served.Connect();
        using UnixSocket requests = Prepare(frontEnd);

        frontEnd.StartRing(_ring);

        _ring.AssertServes();
        Assert.False(Readiness.WaitReadable(requests.Descriptor, TimeSpan.Zero));
    }

    [Fact]
    public void It_is_not_offered_unless_it_is_asked_for()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        frontEnd.Negotiate();

        Assert.Equal(0UL, frontEnd.AskU64(GetProtocolFeatures) & (ulong)ProtocolFeatures.InbandNotifications);
        frontEnd.Send(VringKick, Wire.State(0, 0));
        frontEnd.AssertClosed();
    }

    [Theory]
    [InlineData(ProtocolFeatures.ReplyAck)]
    [InlineData(ProtocolFeatures.BackEndReq)]
    public void Without_what_it_needs_the_connection_is_closed(ProtocolFeatures missing)
    {
        using var served = new ServedDevice(options: Offering);
        using FrontEnd frontEnd = served.Connect();

        frontEnd.AskU64(GetFeatures);
        frontEnd.AskU64(GetProtocolFeatures);

        frontEnd.Send(SetProtocolFeatures, Wire.U64((ulong)(Protocol & ~missing)));

        frontEnd.AssertClosed();
        Assert.Equal($"SET_PROTOCOL_FEATURES accepts InbandNotifications without {missing}", served.NextReport().Ended);
    }

    [Theory]
    [InlineData(0, 1, "VRING_KICK: num = 1 is reserved")]
    [InlineData(1, 0, "VRING_KICK: ring 1 does not exist")]
    [InlineData(0xFFFFFFFF, 0, "VRING_KICK: ring 4294967295 does not exist")]
    public void A_kick_that_cannot_be_ends_the_session(uint ring, uint number, string reason)
    {
        using var served = new ServedDevice(options: Offering);
        using (FrontEnd frontEnd = served.Connect())
        {
            frontEnd.Negotiate(Protocol);
            frontEnd.Send(VringKick, Wire.State(ring, number));
            frontEnd.AssertClosed();
        }

        Assert.StartsWith(reason, served.NextReport().Ended, StringComparison.Ordinal);
        served.AssertServesNext();
    }

    [Fact]
    public void A_front_end_that_answers_no_call_or_wrongly_costs_the_device_nothing()
    {
        using var served = new ServedDevice(options: Offering);
        using FrontEnd frontEnd = served.Connect();
        using UnixSocket requests = Prepare(frontEnd);
        frontEnd.Do(VringKick, Wire.State(0, 0));
        frontEnd.Do(SetVringEnable, Wire.State(0, 1));
        for (ushort i = 1; i <= 1000; i++)
        {
            _ring.UsedEvent = (ushort)(i - 1);
            _ring.OfferBuffer();
            frontEnd.Do(VringKick, Wire.State(0, 0));
            Assert.True(Patience.Until(() => _ring.UsedIndex == i));
        }

        Answer(requests, VringErr); // nobody asked that
        _ring.OfferBuffer();
        frontEnd.Do(VringKick, Wire.State(0, 0));
        Assert.True(Patience.Until(() => _ring.UsedIndex == 1001));
    }

    [Fact]
    public void A_call_that_finds_no_room_in_the_socket_comes_when_there_is_some()
    {
        using var served = new ServedDevice(options: Offering);
        using FrontEnd frontEnd = served.Connect();
        int filled = 0;
        using UnixSocket requests = Prepare(frontEnd, theirs => filled = Fill(theirs));
        _ring.OfferBuffer();
        frontEnd.Do(VringKick, Wire.State(0, 0));
        frontEnd.Do(SetVringEnable, Wire.State(0, 1));
        Assert.True(Patience.Until(() => _ring.UsedIndex == 1));
        frontEnd.Barrier(); // and its turn is over

        ReadAway(requests, filled);

        Assert.Equal((VringCall, 0u), Hear(requests));
        Answer(requests, VringCall);
        _ring.UsedEvent = 1;
        _ring.OfferBuffer();
        frontEnd.Do(VringKick, Wire.State(0, 0));
        Assert.Equal((VringCall, 0u), Hear(requests));
    }

    [Fact]
    public void A_call_that_was_not_answered_is_said_again_over_the_next_socket()
    {
        using var served = new ServedDevice(options: Offering);
        using FrontEnd frontEnd = served.Connect();
        using UnixSocket requests = Prepare(frontEnd);
        _ring.OfferBuffer();
        frontEnd.Do(VringKick, Wire.State(0, 0));
        frontEnd.Do(SetVringEnable, Wire.State(0, 1));
        Assert.Equal((VringCall, 0u), Hear(requests));

        using UnixSocket next = GiveSocket(frontEnd);

        Assert.Equal((VringCall, 0u), Hear(next));
    }

    [Fact]
    public void A_thread_per_queue_cannot_share_the_socket()
    {
        using var served = new ServedDevice(options: Offering);

        var refused = Assert.Throws<ArgumentException>(() => VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, Accepting with { HasThreadPerQueue = true }));

        Assert.Contains("HasThreadPerQueue", refused.Message, StringComparison.Ordinal);
        Assert.Contains("InbandNotifications", refused.Message, StringComparison.Ordinal);
        Assert.Null(served.NextReport().Ended);
    }

    private UnixSocket Prepare(FrontEnd frontEnd, Action<UnixSocket>? beforehand = null)
    {
        frontEnd.Negotiate(Protocol);
        UnixSocket ours = GiveSocket(frontEnd, beforehand);
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        frontEnd.AddMemory(_ram);
        frontEnd.Send(SetVringNum, Wire.State(0, (uint)_ring.Size));
        frontEnd.Send(SetVringBase, Wire.State(0, 0));
        frontEnd.Send(SetVringAddr, _ring.AddressPayload);
        return ours;
    }

    private static UnixSocket GiveSocket(FrontEnd frontEnd, Action<UnixSocket>? beforehand = null)
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using (theirs)
        {
            beforehand?.Invoke(theirs);
            frontEnd.Do(SetBackEndReqFd, [], theirs.Descriptor);
        }

        return ours;
    }

    /// <returns>Bytes.</returns>
    private static int Fill(UnixSocket socket)
    {
        socket.Descriptor.SetNonBlocking();
        int filled = 0;
        for (int sent; (sent = socket.SendWithFds(new byte[1024], [])) != UnixSocket.WouldBlock;)
            filled += sent;
        return filled;
    }

    private static void ReadAway(UnixSocket socket, int bytes)
    {
        using var none = new ReceivedFds(1);
        byte[] piece = new byte[1024];
        while (bytes > 0)
            bytes -= socket.ReceiveWithFds(piece.AsSpan(0, Math.Min(bytes, piece.Length)), none);
    }

    private static (uint Request, uint Ring) Hear(UnixSocket requests)
    {
        byte[] message = new byte[20];
        using var none = new ReceivedFds(1);
        for (int have = 0; have < message.Length;)
        {
            Assert.True(Readiness.WaitReadable(requests.Descriptor, Patience.Limit), "no notification has come");
            have += requests.ReceiveWithFds(message.AsSpan(have), none);
        }

        Assert.Equal((Wire.Version | Wire.NeedReply, 8u, 0u), (BitConverter.ToUInt32(message, 4), BitConverter.ToUInt32(message, 8), BitConverter.ToUInt32(message, 16)));
        return (BitConverter.ToUInt32(message), BitConverter.ToUInt32(message, 12));
    }

    private static void Answer(UnixSocket requests, uint request) =>
        requests.SendAllWithFds([.. Wire.Header(request, Wire.Version | Wire.Reply, 8), .. Wire.U64(0)], [], Patience.Limit);
}
