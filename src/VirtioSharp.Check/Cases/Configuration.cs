using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>Configuration space, device status, reset, and the back-end's own channel.</summary>
internal static class Configuration
{
    public static CheckCase[] All { get; } =
    [
        new("config-odd-offset", From.VhostUser("GET_CONFIG"), "Any part of the space can be read: an odd offset and size bring those bytes.", bench =>
        {
            FrontEnd front = With(bench, Protocol.Config);
            byte[] whole = Read(front, 0, 8), part = Read(front, 3, 3);
            ReadOnlySpan<byte> expected = whole.AsSpan(3, 3);
            return expected.SequenceEqual(part)
                ? "bytes 3 to 5 are those of the whole"
                : throw new FailedException($"bytes 3 to 5 are {Convert.ToHexStringLower(part)}, in the whole {Convert.ToHexStringLower(expected)}");
        }),
        OddConfig("config-size-0", "of no bytes", 0, 0, 0),
        OddConfig("config-past-the-end", "of bytes past the end of the space", 250, 6, 6),
        OddConfig("config-far-past-the-end", "at offset 4294967295", 0xFFFFFFFF, 4, 4),
        OddConfig("config-size-lies", "whose size says more than the message carries", 0, 200, 8),
        OddConfig("config-size-ffffffff", "whose size is 4294967295", 0, 0xFFFFFFFF, 8),
        OddConfig("config-too-large", "of 4096 bytes", 0, 4096, 4096),
        new("config-write-past-the-end", From.VhostUser("SET_CONFIG"), "SET_CONFIG past the end of the space is refused, or does no harm.", bench =>
            With(bench, Protocol.Config | Protocol.ReplyAck).Attempt(Request.SetConfig, Payload.Config(252, 4, [1, 2, 3, 4])).Text()),
        new("config-write-offset-wraps", From.VhostUser("SET_CONFIG"), "SET_CONFIG whose offset and size wrap is refused, or does no harm.", bench =>
            With(bench, Protocol.Config | Protocol.ReplyAck).Attempt(Request.SetConfig, Payload.Config(0xFFFFFFFE, 4, [1, 2, 3, 4])).Text()),
        new("config-write-read-only", From.VhostUser("SET_CONFIG"), "Back-ends MUST NOT accept SET_CONFIG for read-only fields: a disk's capacity stays as it is.", bench =>
        {
            FrontEnd front = With(bench, Protocol.Config | Protocol.ReplyAck);
            byte[] before = Read(front, 0, 8);
            Outcome outcome = front.Attempt(Request.SetConfig, Payload.Config(0, 8, [.. before.Select(value => (byte)~value)]));
            front = With(bench, Protocol.Config);
            return Read(front, 0, 8).SequenceEqual(before) ? $"{outcome.Text()}, unchanged" : throw new FailedException($"{outcome.Text()}, and the capacity has changed");
        }, Needs.Block),
        new("status-written-is-read", From.VhostUser("SET_STATUS, GET_STATUS"), "The status that the front-end has set is what it gets.", bench =>
        {
            FrontEnd front = With(bench, Protocol.Status | Protocol.ReplyAck);
            foreach (ulong status in new ulong[] { 1, 3, 11, 15 })
            {
                front.Do(Request.SetStatus, Payload.U64(status));
                ulong read = front.AskU64(Request.GetStatus);
                if (read != status)
                    throw new FailedException($"0x{status:x} was set, 0x{read:x} is read");
            }

            front.Do(Request.SetStatus, Payload.U64(0));
            ulong last = front.AskU64(Request.GetStatus);
            return last == 0 ? "1, 3, 11, 15, 0" : throw new FailedException($"0 was set, 0x{last:x} is read");
        }),
        new("status-of-64-bits", From.VhostUser("SET_STATUS"), "A status of more than 8 bits is refused, or does no harm.", bench =>
            With(bench, Protocol.Status | Protocol.ReplyAck).Attempt(Request.SetStatus, Payload.U64(ulong.MaxValue)).Text()),
        new("status-0-resets", From.Virtio("2.4: device reset"), "After status 0 a driver starts anew.", bench =>
            Again(bench, Protocol.Status, session => session.Front.Do(Request.SetStatus, Payload.U64(0))), Needs.Ring),
        new("reset-device", From.VhostUser("RESET_DEVICE"), "The device is reset to its initial state, ready to be reinitialized.", bench =>
            Again(bench, Protocol.ResetDevice, session => session.Front.Do(Request.ResetDevice)), Needs.Ring),
        new("reset-device-disables", From.VhostUser("RESET_DEVICE: disable all rings"), "After RESET_DEVICE requests stay where they are.", bench =>
        {
            bench.Need(Protocol.ResetDevice);
            Session session = bench.Start(Plan.Usual with { Protocol = Protocol.ResetDevice | Protocol.ReplyAck });
            session.Serve();
            session.Front.Do(Request.ResetDevice);
            session.Front.Barrier();
            ushort used = session.Split.UsedIndex;
            session.OfferGood();
            session.Ring.Kick.Signal();
            Thread.Sleep(30);
            session.Front.Barrier();
            return session.Split.UsedIndex == used ? "left alone" : throw new FailedException("a ring was served after the reset");
        }, Needs.Ring),
        new("reset-device-under-requests", From.VhostUser("RESET_DEVICE"), "A reset while requests are under way does no harm.", bench =>
        {
            bench.Need(Protocol.ResetDevice);
            Session session = bench.Start(Plan.Usual with { Protocol = Protocol.ResetDevice | Protocol.ReplyAck });
            for (int i = 0; i < 10; i++)
            {
                session.OfferGood();
                session.Ring.Kick.Signal();
                session.Front.Do(Request.ResetDevice);
                session.Ring.Restart();
                session.SetFeatures();
                session.ShareMemory();
                session.StartRing();
            }

            session.Serve();
            return "ten resets";
        }, Needs.Ring),
        new("channel-is-quiet", From.VhostUser("Back-end communication; Suspended device state: not send any messages to the front-end"),
            "Over its channel the back-end says nothing while no ring runs.", bench =>
        {
            FrontEnd front = With(bench, Protocol.BackEndReq | Protocol.ReplyAck);
            FrontEnd channel = Channel(bench, front);
            front.Barrier();
            Answer answer = channel.Receive(bench.Pause);
            return answer.Kind == AnswerKind.Silence ? "quiet" : throw new FailedException(answer.Kind == AnswerKind.Closed ? "the back-end closed its channel" : $"the back-end sent request {answer.Request}");
        }),
        new("channel-closed", From.History("SIGPIPE ends a process"), "A channel that the front-end closes costs the daemon nothing.", bench =>
        {
            FrontEnd front = With(bench, Protocol.BackEndReq | Protocol.ReplyAck);
            Channel(bench, front).Dispose();
            front.Barrier();
            return "the session goes on";
        }),
        new("channel-replaced", From.VhostUser("SET_BACKEND_REQ_FD"), "A channel may be given again.", bench =>
        {
            FrontEnd front = With(bench, Protocol.BackEndReq | Protocol.ReplyAck);
            for (int i = 0; i < 5; i++)
                Channel(bench, front);
            front.Barrier();
            return "five times";
        }),
        new("channel-noise", From.History("what comes back over the channel is the front-end's claim, too"), "Noise on the channel costs the connection at most.", bench =>
        {
            FrontEnd front = With(bench, Protocol.BackEndReq | Protocol.ReplyAck);
            Channel(bench, front).TrySendRaw(Payload.Header(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF));
            return front.TrySend(Request.GetFeatures, FrontEnd.Version, []) && front.Receive().Kind == AnswerKind.Message ? "the session goes on" : "connection closed";
        }),
    ];

    private static FrontEnd With(Bench bench, Protocol protocol)
    {
        bench.Need(protocol & ~Protocol.ReplyAck);
        return bench.Negotiate(Plan.Usual with { Protocol = protocol });
    }

    private static byte[] Read(FrontEnd front, uint offset, int size) =>
        front.Ask(Request.GetConfig, 12 + size, Payload.Config(offset, (uint)size, new byte[size])).Payload[12..];

    /// <summary>A read that cannot be granted in full: an error is a reply without payload, but one has to come, or the end.</summary>
    private static CheckCase OddConfig(string name, string what, uint offset, uint size, int carried) =>
        new(name, From.VhostUser("GET_CONFIG: zero length of payload to indicate an error"), $"A read {what} is answered, or ends the connection.", bench =>
        {
            FrontEnd front = With(bench, Protocol.Config);
            if (!front.TrySend(Request.GetConfig, FrontEnd.Version, Payload.Config(offset, size, new byte[carried])) || !front.TrySend(Request.GetFeatures, FrontEnd.Version, []))
                return "connection closed";
            Answer answer = front.Receive();
            if (answer.Kind == AnswerKind.Closed)
                return "connection closed";
            if (answer.Kind == AnswerKind.Silence)
                throw new FailedException($"neither an answer nor the end of the connection within {bench.Patience.TotalSeconds} s");
            if (answer.Request == Request.GetFeatures)
                throw new FailedException("GET_CONFIG was not answered at all: the front-end would wait for ever");
            if (answer.Payload.Length > 12 + carried)
                throw new FailedException($"answered with {answer.Payload.Length} bytes, more than the request has");
            Answer next = front.Receive();
            string seen = $"answered with {answer.Payload.Length} bytes";
            return next.Kind switch
            {
                AnswerKind.Message => seen,
                AnswerKind.Closed => $"{seen}, then connection closed",
                _ => throw new FailedException($"{seen}, then silence"),
            };
        });

    private static string Again(Bench bench, Protocol protocol, Action<Session> reset)
    {
        bench.Need(protocol);
        Session session = bench.Start(Plan.Usual with { Protocol = protocol | Protocol.ReplyAck });
        for (int i = 0; i < 3; i++)
        {
            session.Serve(2);
            reset(session);
            session.Ring.Restart();
            session.SetFeatures();
            session.ShareMemory();
            session.StartRing();
        }

        session.Serve();
        return "served anew three times";
    }

    private static FrontEnd Channel(Bench bench, FrontEnd front)
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        var channel = bench.Track(new FrontEnd(ours, bench.Patience));
        using (theirs)
            front.Do(Request.SetBackEndReqFd, [], theirs.Descriptor);
        return channel;
    }
}
