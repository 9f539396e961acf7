using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>REPLY_ACK on every kind of message.</summary>
internal static class Acknowledgements
{
    private static readonly string Source = From.VhostUser("VHOST_USER_PROTOCOL_F_REPLY_ACK");

    public static CheckCase[] All { get; } =
    [
        Ack(Request.SetFeatures, bench => (Payload.U64(bench.Offer.Features & (Feature.ProtocolFeatures | Feature.Version1)), null)),
        Ack(Request.SetOwner, _ => ([], null)),
        Ack(Request.SetProtocolFeatures, _ => (Payload.U64((ulong)Protocol.ReplyAck), null)),
        Ack(Request.SetMemTable, bench => bench.Ram() is var ram ? (Payload.Table(1, ram.Description), ram.File) : default),
        Ack(Request.SetVringNum, _ => (Payload.State(0, 64), null)),
        Ack(Request.SetVringBase, _ => (Payload.State(0, 0), null)),
        new(NameOf(Request.SetVringAddr), Source, RuleOf(Request.SetVringAddr), bench =>
        {
            bench.Need(Protocol.ReplyAck);
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            session.Front.Do(Request.SetVringNum, Payload.State(0, 64));
            return Acknowledged(session.Front, Request.SetVringAddr, session.Ring.Address);
        }),
        Ack(Request.SetVringKick, EventFdFor),
        Ack(Request.SetVringCall, EventFdFor),
        Ack(Request.SetVringErr, EventFdFor),
        new(NameOf(Request.SetVringEnable), Source, RuleOf(Request.SetVringEnable), bench =>
        {
            bench.Need(Protocol.ReplyAck);
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            session.Describe();
            session.SetKick();
            return Acknowledged(session.Front, Request.SetVringEnable, Payload.State(0, 1));
        }),
        Ack(Request.SetBackEndReqFd, bench => ([], ChannelEnd(bench)), Protocol.BackEndReq),
        Ack(Request.AddMemReg, bench => bench.Ram() is var ram ? (Payload.OneRegion(ram.Description), ram.File) : default, Protocol.ConfigureMemSlots),
        new(NameOf(Request.RemMemReg), Source, RuleOf(Request.RemMemReg), bench =>
        {
            bench.Need(Protocol.ReplyAck | Protocol.ConfigureMemSlots);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.ConfigureMemSlots });
            GuestRegion ram = bench.Ram();
            front.Do(Request.AddMemReg, Payload.OneRegion(ram.Description), ram.File);
            return Acknowledged(front, Request.RemMemReg, Payload.OneRegion(ram.Description));
        }),
        Ack(Request.SetStatus, _ => (Payload.U64(1), null), Protocol.Status),
        Ack(Request.ResetDevice, _ => ([], null), Protocol.ResetDevice),
        new("ack-own-reply", Source, "For message types that already solicit a reply need_reply brings no behavioural change: one reply, not two.", bench =>
        {
            bench.Need(Protocol.ReplyAck);
            FrontEnd front = bench.Negotiate();
            for (int i = 0; i < 3; i++)
            {
                front.TrySend(Request.GetFeatures, FrontEnd.Version | FrontEnd.NeedReply, []);
                front.Reply(Request.GetFeatures, 8);
            }

            front.TrySend(Request.GetVringBase, FrontEnd.Version | FrontEnd.NeedReply, Payload.State(0, 0));
            front.Reply(Request.GetVringBase, 8);
            front.Barrier();
            return "one reply each";
        }),
        new("ack-not-asked-for", Source, "A message without need_reply and without a reply of its own is not answered.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            front.Send(Request.SetOwner);
            front.Send(Request.SetFeatures, Payload.U64(bench.Offer.Features & (Feature.ProtocolFeatures | Feature.Version1)));
            front.Send(Request.SetVringNum, Payload.State(0, 64));
            front.Send(Request.SetVringBase, Payload.State(0, 0));
            front.Barrier();
            return "nothing but the replies due";
        }),
        new("ack-not-negotiated", Source, "need_reply without REPLY_ACK is ignored, or answered in good form.", bench =>
        {
            FrontEnd front = bench.Negotiate(new Plan { Protocol = Protocol.None });
            front.TrySend(Request.SetVringBase, FrontEnd.Version | FrontEnd.NeedReply, Payload.State(0, 0));
            Answer answer = front.TrySend(Request.GetFeatures, FrontEnd.Version, []) ? front.Receive() : new Answer(AnswerKind.Closed);
            if (answer.Kind == AnswerKind.Closed)
                return "connection closed";
            if (answer.Kind == AnswerKind.Silence)
                throw new FailedException($"no answer within {bench.Patience.TotalSeconds} s");
            bool acknowledged = answer.Request == Request.SetVringBase;
            if (acknowledged)
                answer = front.Reply(Request.GetFeatures, 8);
            return answer.Request == Request.GetFeatures ? (acknowledged ? "answered" : "ignored") : throw new FailedException($"answered as {Request.Name(answer.Request)}");
        }),
    ];

    private static string NameOf(uint request) => $"ack-{Request.Name(request).ToLowerInvariant().Replace('_', '-')}";

    private static string RuleOf(uint request) => $"need_reply on a good {Request.Name(request)}: the back-end MUST respond, with zero on success.";

    private static CheckCase Ack(uint request, Func<Bench, (byte[] Payload, FileDescriptor? Fd)> make, Protocol also = Protocol.None) =>
        new(NameOf(request), Source, RuleOf(request), bench =>
        {
            bench.Need(Protocol.ReplyAck | also);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.ReplyAck | also });
            (byte[] payload, FileDescriptor? fd) = make(bench);
            return Acknowledged(front, request, payload, fd is null ? [] : [fd]);
        });

    private static string Acknowledged(FrontEnd front, uint request, byte[] payload, params FileDescriptor[] fds)
    {
        if (!front.TrySend(request, FrontEnd.Version | FrontEnd.NeedReply, payload, fds))
            throw new FailedException("the connection was closed");
        Answer answer = front.Reply(request, 8);
        if (answer.Flags != FrontEnd.ReplyFlags)
            throw new FailedException($"the acknowledgement has flags 0x{answer.Flags:x}");
        ulong value = BitConverter.ToUInt64(answer.Payload);
        if (value != 0)
            throw new FailedException($"refused with {value}");
        front.Barrier();
        return "acknowledged with 0";
    }

    private static (byte[] Payload, FileDescriptor? Fd) EventFdFor(Bench bench) => (Payload.U64(0), bench.Track(EventFd.Create()).Descriptor);

    internal static FileDescriptor ChannelEnd(Bench bench)
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        bench.Track(ours);
        return bench.Track(theirs).Descriptor;
    }
}
