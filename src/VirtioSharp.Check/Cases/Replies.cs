using VirtioSharp.Check.Wire;

namespace VirtioSharp.Check.Cases;

/// <summary>Replies that are due by themselves: header and size.</summary>
internal static class Replies
{
    private const string FlagsRule = "flags are exactly 0x5 (version 1 and the reply bit)";

    public static CheckCase[] All { get; } =
    [
        new("reply-get-features", From.VhostUser("Header; GET_FEATURES"), $"The reply carries a u64, and its {FlagsRule}.",
            bench => Exact(bench.Connect(), Request.GetFeatures, 8)),
        new("reply-get-features-again", From.VhostUser("GET_FEATURES"), "The features offered do not change while nobody changes them.", bench =>
        {
            FrontEnd front = bench.Connect();
            ulong first = front.AskU64(Request.GetFeatures);
            ulong second = front.AskU64(Request.GetFeatures);
            return first == second ? $"0x{first:x} twice" : throw new FailedException($"0x{first:x}, then 0x{second:x}");
        }),
        new("reply-get-protocol-features", From.VhostUser("GET_PROTOCOL_FEATURES"),
            $"Back-ends that report bit 30 must support this message even before SET_FEATURES was called; {FlagsRule}.", bench =>
        {
            bench.NeedFeature(Feature.ProtocolFeatures);
            return Exact(bench.Connect(), Request.GetProtocolFeatures, 8);
        }),
        new("set-protocol-features-first", From.VhostUser("SET_PROTOCOL_FEATURES"),
            "Back-ends that report bit 30 must support this message even before SET_FEATURES was called.", bench =>
        {
            bench.NeedFeature(Feature.ProtocolFeatures);
            bench.Negotiate().Barrier();
            return "accepted";
        }),
        new("reply-get-queue-num", From.VhostUser("GET_QUEUE_NUM"), $"The reply is a u64: how many queues the back-end supports; {FlagsRule}.", bench =>
        {
            bench.Need(Protocol.Mq);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.Mq });
            Answer answer = ExactAnswer(front, Request.GetQueueNum, 8);
            ulong queues = BitConverter.ToUInt64(answer.Payload);
            return queues is > 0 and <= 1024 ? $"{queues} queues" : throw new FailedException($"{queues} queues");
        }),
        new("reply-get-max-mem-slots", From.VhostUser("GET_MAX_MEM_SLOTS"), $"The reply is a u64: the most memory slots; {FlagsRule}.", bench =>
        {
            bench.Need(Protocol.ConfigureMemSlots);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.ConfigureMemSlots });
            ulong slots = BitConverter.ToUInt64(ExactAnswer(front, Request.GetMaxMemSlots, 8).Payload);
            return slots > 0 ? $"{slots} slots" : throw new FailedException("0 slots: no memory can be shared");
        }),
        new("reply-get-status", From.VhostUser("GET_STATUS"), $"The reply is a u64 with a device status of 8 bits; {FlagsRule}.", bench =>
        {
            bench.Need(Protocol.Status);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.Status });
            ulong status = BitConverter.ToUInt64(ExactAnswer(front, Request.GetStatus, 8).Payload);
            return status <= 0xFF ? $"0x{status:x}" : throw new FailedException($"status 0x{status:x} has more than 8 bits");
        }),
        new("reply-get-vring-base", From.VhostUser("GET_VRING_BASE"), $"The reply is a vring state with the ring's own index; {FlagsRule}.", bench =>
        {
            Answer answer = ExactAnswer(bench.Negotiate(), Request.GetVringBase, 8, Payload.State(0, 0));
            uint index = BitConverter.ToUInt32(answer.Payload);
            return index == 0 ? "8 bytes, flags 0x5" : throw new FailedException($"asked of ring 0, the reply is about ring {index}");
        }),
        new("reply-get-config", From.VhostUser("GET_CONFIG"), $"The back-end's payload size MUST match the front-end's request; {FlagsRule}.", bench =>
        {
            bench.Need(Protocol.Config);
            const int Size = 8;
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.Config });
            Answer answer = ExactAnswer(front, Request.GetConfig, 12 + Size, Payload.Config(0, Size, new byte[Size]));
            uint size = BitConverter.ToUInt32(answer.Payload, 4);
            return size == Size ? "as many bytes as were asked for" : throw new FailedException($"{Size} bytes were asked for, the reply says {size}");
        }),
        new("reply-get-inflight-fd", From.VhostUser("GET_INFLIGHT_FD"), $"The reply is an inflight description with a descriptor of the buffer; {FlagsRule}.", bench =>
        {
            bench.Need(Protocol.InflightShmfd);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.InflightShmfd });
            // 20 bytes in the drawing, 24 in every front-end, which refuses 20.
            Answer answer = ExactAnswer(front, Request.GetInflightFd, 24, Payload.Inflight(0, 0, 1, 64));
            if (answer.Fd is null)
                throw new FailedException("the reply came without a descriptor");
            bench.Track(answer.Fd);
            ulong size = BitConverter.ToUInt64(answer.Payload);
            return size > 0 ? $"a buffer of {size} bytes" : throw new FailedException("a buffer of 0 bytes");
        }),
        new("reset-owner", From.VhostUser("RESET_OWNER"), "It is recommended that back-ends either ignore this message, or use it to disable all rings.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            front.Send(Request.ResetOwner);
            front.Barrier();
            return "the session goes on";
        }),
        new("inband-without-reply-ack", From.VhostUser("In-band notifications"),
            "The back-end should close the connection when INBAND_NOTIFICATIONS is set without BACKEND_REQ and REPLY_ACK.", bench =>
        {
            bench.Need(Protocol.InbandNotifications);
            FrontEnd front = bench.Connect();
            front.AskU64(Request.GetFeatures);
            front.Send(Request.SetProtocolFeatures, Payload.U64((ulong)Protocol.InbandNotifications));
            return front.CloseComes(bench.Patience) ? "connection closed" : throw new FailedException("the connection stays open");
        }),
    ];

    private static string Exact(FrontEnd front, uint request, int size)
    {
        Answer answer = ExactAnswer(front, request, size);
        return $"0x{BitConverter.ToUInt64(answer.Payload):x}, flags 0x{answer.Flags:x}";
    }

    /// <summary>A reply whose flags are right, too.</summary>
    internal static Answer ExactAnswer(FrontEnd front, uint request, int size, ReadOnlySpan<byte> payload = default)
    {
        Answer answer = front.Ask(request, size, payload);
        return answer.Flags == FrontEnd.ReplyFlags
            ? answer
            : throw new FailedException($"the reply to {Request.Name(request)} has flags 0x{answer.Flags:x}");
    }
}
