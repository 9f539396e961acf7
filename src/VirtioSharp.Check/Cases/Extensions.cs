using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>Younger parts of the protocol, where they are offered.</summary>
internal static class Extensions
{
    private const Protocol InBand = Protocol.InbandNotifications | Protocol.ReplyAck | Protocol.BackEndReq;

    public static CheckCase[] All { get; } =
    [
        new("gpa-served", From.VhostUser("A vring address description; Memory region description"), "With GPA_ADDRESSES, rings are found by their guest addresses.", bench =>
        {
            bench.Need(Protocol.GpaAddresses);
            Session session = bench.Prepare(Plan.Usual with { Protocol = Protocol.GpaAddresses | Protocol.ReplyAck }, bench.Ram(user: GuestRegion.DefaultGuest));
            session.SetFeatures();
            session.ShareMemory();
            session.StartRing();
            session.Serve(3);
            return "3 requests";
        }, Needs.Ring),
        new("gpa-other-user-address", From.VhostUser("Memory region description: must duplicate guest address field"), "A region whose user address is not its guest address is refused, or does no harm.", bench =>
        {
            bench.Need(Protocol.GpaAddresses);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.GpaAddresses | Protocol.ReplyAck });
            GuestRegion ram = bench.Ram();
            return front.Attempt(Request.SetMemTable, Payload.Table(1, ram.Description), ram.File).Text();
        }),
        new("inband-served", From.VhostUser("In-band notifications"), "With INBAND_NOTIFICATIONS, a ring is started by VRING_KICK, and tells of used buffers by VRING_CALL.", bench =>
        {
            bench.Need(InBand);
            Session session = bench.Prepare(Plan.Usual with { Protocol = InBand });
            FrontEnd channel = Channel(bench, session.Front);
            session.SetFeatures();
            session.ShareMemory();
            session.Front.Do(Request.SetVringNum, Payload.State(0, (uint)session.Ring.Size));
            session.Front.Do(Request.SetVringBase, Payload.State(0, session.Ring.Base));
            session.Front.Do(Request.SetVringAddr, session.Ring.Address);
            var request = session.OfferGood();
            session.Front.Do(Request.VringKick, Payload.State(0, 0));
            session.Enable();
            session.TakeGood(request);
            Answer call = channel.Receive();
            return call is { Kind: AnswerKind.Message, Request: 4 } ? "answered, and VRING_CALL came"
                : throw new FailedException($"answered, but in place of VRING_CALL came {(call.Kind == AnswerKind.Message ? $"request {call.Request}" : "nothing")}");
        }, Needs.Ring),
        new("inband-alone", From.VhostUser("In-band notifications: the back-end should close the connection"), "INBAND_NOTIFICATIONS without REPLY_ACK and BACKEND_REQ ends the connection.", bench =>
        {
            bench.Need(Protocol.InbandNotifications);
            FrontEnd front = bench.Connect();
            front.AskU64(Request.GetFeatures);
            front.AskU64(Request.GetProtocolFeatures);
            front.Send(Request.SetProtocolFeatures, Payload.U64((ulong)Protocol.InbandNotifications));
            return front.CloseComes(bench.Patience) ? "connection closed" : throw new FailedException("the connection goes on");
        }),
        BadKick("inband-ring", "A kick of ring 0xFFFFFFFF", 0xFFFFFFFF, 0),
        BadKick("inband-number", "A kick whose reserved number is not 0", 0, 7),
        BadKick("inband-early", "A kick of a ring of which nothing is known", 0, 0),
        new("base-inflight-alone", From.VhostUser("GET_VRING_BASE: must only be negotiated if INFLIGHT_SHMFD is also negotiated"), "GET_VRING_BASE_INFLIGHT without INFLIGHT_SHMFD is refused, or does no harm.", bench =>
        {
            bench.Need(Protocol.GetVringBaseInflight);
            FrontEnd front = bench.Connect();
            front.AskU64(Request.GetFeatures);
            front.AskU64(Request.GetProtocolFeatures);
            return front.Attempt(Request.SetProtocolFeatures, Payload.U64((ulong)Protocol.GetVringBaseInflight)).Text();
        }),
        new("base-inflight-served", From.VhostUser("GET_VRING_BASE"), "With GET_VRING_BASE_INFLIGHT, a ring that is stopped and started again serves each request once.", bench =>
        {
            bench.Need(Protocol.GetVringBaseInflight | Protocol.InflightShmfd);
            Session session = bench.Prepare(Plan.Usual with { Protocol = Protocol.GetVringBaseInflight | Protocol.InflightShmfd | Protocol.ReplyAck });
            session.SetFeatures();
            Answer buffer = session.Front.Ask(Request.GetInflightFd, -1, Payload.Inflight(0, 0, 1, (ushort)session.Ring.Size));
            if (buffer.Fd is null)
                throw new FailedException("GET_INFLIGHT_FD: no descriptor");
            bench.Track(buffer.Fd);
            session.Front.Do(Request.SetInflightFd, Payload.Inflight(BitConverter.ToUInt64(buffer.Payload), BitConverter.ToUInt64(buffer.Payload, 8), 1, (ushort)session.Ring.Size), buffer.Fd);
            session.ShareMemory();
            session.StartRing();
            for (int i = 0; i < 20; i++)
            {
                var request = session.OfferGood();
                session.Ring.Kick.Signal();
                uint at = session.StopRing(); // before the request, in the middle of it, or behind it
                session.Front.Do(Request.SetVringBase, Payload.State(0, at));
                session.SetKick();
                session.Ring.Kick.Signal();
                session.TakeGood(request);
            }

            return session.TryTake(TimeSpan.Zero, out _) ? throw new FailedException("a request was answered twice") : "20 requests, each once";
        }, Needs.Ring),
    ];

    private static CheckCase BadKick(string name, string what, uint ring, uint number) =>
        new(name, From.VhostUser("VRING_KICK"), $"{what} is refused, or does no harm.", bench =>
        {
            bench.Need(InBand);
            return bench.Negotiate(Plan.Usual with { Protocol = InBand }).Attempt(Request.VringKick, Payload.State(ring, number)).Text();
        });

    private static FrontEnd Channel(Bench bench, FrontEnd front)
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        var channel = bench.Track(new FrontEnd(ours, bench.Patience));
        using (theirs)
            front.Do(Request.SetBackEndReqFd, [], theirs.Descriptor);
        return channel;
    }
}
