using VirtioSharp.Check.Wire;

namespace VirtioSharp.Check.Cases;

/// <summary>Messages as a stream brings them: cut anywhere, or not messages at all.</summary>
internal static class Framing
{
    private static readonly byte[] AskFeatures = Payload.Header(Request.GetFeatures, FrontEnd.Version, 0);

    public static CheckCase[] All { get; } =
    [
        new("framing-byte-by-byte", From.VhostUser("Header"), "A message is 12 bytes of header and its payload, however the stream is cut.", bench =>
        {
            FrontEnd front = bench.Negotiate(Plan.Usual with { PieceSize = 1 });
            front.Do(Request.SetFeatures, Payload.U64(bench.Offer.Features & (Feature.ProtocolFeatures | Feature.Version1)));
            front.Barrier();
            return "a handshake byte by byte is answered";
        }),
        new("framing-byte-by-byte-descriptors", From.VhostUser("Communication"),
            "File descriptors are received in the first recvmsg for a message header, also when the header comes in pieces.", bench =>
        {
            Session session = bench.Start(Plan.Usual with { PieceSize = 1 });
            session.Serve(3);
            return "memory and ring were set up byte by byte, requests are served";
        }, Needs.Ring),
        new("framing-header-then-payload", From.VhostUser("Header"), "A payload may arrive after its header.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            byte[] message = SetFeatures(bench);
            front.TrySendRaw(message.AsSpan(0, 12));
            Thread.Sleep(20);
            front.TrySendRaw(message.AsSpan(12));
            front.Barrier();
            return "put together";
        }),
        new("framing-many-at-once", From.VhostUser("Communication"), "Messages that arrive together are obeyed one after the other.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            byte[] set = SetFeatures(bench);
            front.TrySendRaw([.. AskFeatures, .. set, .. AskFeatures, .. set, .. AskFeatures]);
            for (int i = 0; i < 3; i++)
                front.Reply(Request.GetFeatures, 8);
            return "three requests among five messages, three replies";
        }),
        new("framing-end-in-header", From.History("cloud-hypervisor, SPDK: not listening again after a disconnect"),
            "A connection that ends in the middle of a header costs no other.", bench => CutOff(bench, 1, 5, 11)),
        new("framing-end-in-payload", From.History("cloud-hypervisor, SPDK: not listening again after a disconnect"),
            "A connection that ends in the middle of a payload costs no other.", bench => CutOff(bench, 12, 15, 19)),
        new("framing-size-ffffffff", From.VhostUser("Header"), "size is the peer's claim: no back-end reserves or reads 4 GiB for it.", bench =>
            Stall(bench, Payload.Header(Request.SetFeatures, FrontEnd.Version, 0xFFFFFFFF))),
        new("framing-size-4-mib", From.VhostUser("Header"), "A claimed size of a few MiB, sent in full, does no harm.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            byte[] message = new byte[12 + (4 << 20)];
            Payload.Header(Request.SetMemTable, FrontEnd.Version, 4 << 20).CopyTo(message, 0);
            return front.TrySendRaw(message) && front.TrySendRaw(AskFeatures) && !front.CloseComes(bench.Pause) ? "read and left alone" : "connection closed";
        }),
        new("framing-payload-too-short", From.MayClose, "A payload shorter than the request's is refused, ignored, or ends the connection.", bench =>
            Odd(bench, Request.SetFeatures, FrontEnd.Version, new byte[4])),
        new("framing-payload-too-long", From.MayClose, "A payload longer than the request's is refused, ignored, or ends the connection.", bench =>
            Odd(bench, Request.SetVringNum, FrontEnd.Version, new byte[16])),
        new("framing-payload-missing", From.MayClose, "A request without its payload is refused, ignored, or ends the connection.", bench =>
            Odd(bench, Request.SetVringAddr, FrontEnd.Version, [])),
        new("framing-version-0", From.VhostUser("Header: lower 2 bits are the version (currently 0x01)"), "Another version is refused, or answered as version 1.", bench =>
            OtherVersion(bench, 0)),
        new("framing-version-3", From.VhostUser("Header: lower 2 bits are the version (currently 0x01)"), "Another version is refused, or answered as version 1.", bench =>
            OtherVersion(bench, 3)),
        new("framing-reserved-flags", From.VhostUser("Header"), "Flag bits without a meaning are refused or ignored; the reply's version and reply bit are right.", bench =>
            OtherVersion(bench, 0xFFFFFFF0 | FrontEnd.Version)),
        new("framing-reply-as-request", From.VhostUser("Header"), "A message with the reply bit is no request: it is refused, ignored, or answered in good form.", bench =>
            OtherVersion(bench, FrontEnd.Version | 4)),
        new("framing-unknown-request", From.VhostUser("Communication: extensions are gated by feature bits"), "A request nobody knows is refused, ignored, or ends the connection.", bench =>
            string.Join("; ", new uint[] { 0, 999, 0x80000001, 0xFFFFFFFF }.Select(number => $"{number}: {bench.Negotiate(new Plan { Protocol = Protocol.None }).Attempt(number).Text()}"))),
        new("framing-unknown-request-acknowledged", From.VhostUser("VHOST_USER_PROTOCOL_F_REPLY_ACK"), "need_reply on a request nobody knows is never answered with success.", bench =>
        {
            bench.Need(Protocol.ReplyAck);
            return Descriptors.Refused(bench.Negotiate(), 999, []);
        }),
        new("framing-another-protocol", From.MayClose, "What is not vhost-user at all costs the connection at most.", bench =>
            Stall(bench, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray())),
        new("framing-noise", From.MayClose, "Random bytes cost the connection at most.", bench =>
        {
            var random = new Random(1);
            for (int i = 0; i < 10; i++)
            {
                byte[] noise = new byte[64 + 100 * i];
                random.NextBytes(noise);
                using FrontEnd front = bench.Connect();
                front.TrySendRaw(noise);
                front.CloseComes(TimeSpan.FromMilliseconds(5));
            }

            return "ten connections full of noise";
        }),
        new("framing-replies-unread", From.History("a blocked or killed writer (SIGPIPE) ends a daemon"), "A front-end that does not read its replies costs its own connection at most.", bench =>
        {
            FrontEnd front = bench.Connect();
            byte[] flood = [.. Enumerable.Repeat(AskFeatures, 1000).SelectMany(header => header)];
            long sent = 0;
            int idle = 0;
            while (sent < 4 << 20 && idle < 20)
            {
                int now = front.SendWithoutWaiting(flood);
                sent += now;
                idle = now == 0 ? idle + 1 : 0;
                if (now == 0)
                    Thread.Sleep(5);
            }

            return $"{sent / 12} requests, no reply read";
        }),
        new("framing-left-before-reply", From.History("ECONNRESET and EPIPE taken for fatal"), "A front-end that leaves before its reply comes costs no other.", bench =>
        {
            for (int i = 0; i < 30; i++)
            {
                using FrontEnd front = bench.Connect();
                front.TrySendRaw([.. AskFeatures, .. AskFeatures]);
            }

            return "30 connections left at once";
        }),
    ];

    /// <summary>A good SET_FEATURES: what every daemon of today can do.</summary>
    private static byte[] SetFeatures(Bench bench) =>
        [.. Payload.Header(Request.SetFeatures, FrontEnd.Version, 8), .. Payload.U64(bench.Offer.Features & (Feature.ProtocolFeatures | Feature.Version1))];

    private static string CutOff(Bench bench, params int[] lengths)
    {
        foreach (int length in lengths)
        {
            using FrontEnd front = bench.Negotiate();
            front.TrySendRaw(SetFeatures(bench).AsSpan(0, length));
        }

        return $"ended after {string.Join(", ", lengths)} of 20 bytes";
    }

    private static string Stall(Bench bench, byte[] bytes)
    {
        FrontEnd front = bench.Negotiate();
        front.TrySendRaw(bytes);
        return front.CloseComes(bench.Pause) ? "connection closed" : "it waits for the rest";
    }

    private static string Odd(Bench bench, uint request, uint flags, byte[] payload)
    {
        FrontEnd front = bench.Negotiate(new Plan { Protocol = Protocol.None });
        front.TrySend(request, flags, payload);
        return (front.TrySendRaw(AskFeatures) ? front.Receive() : new Answer(AnswerKind.Closed)).Kind switch
        {
            AnswerKind.Message => "the session goes on",
            AnswerKind.Closed => "connection closed",
            _ => throw new FailedException($"neither an answer nor the end of the connection within {bench.Patience.TotalSeconds} s"),
        };
    }

    private static string OtherVersion(Bench bench, uint flags)
    {
        FrontEnd front = bench.Connect();
        front.TrySend(Request.GetFeatures, flags, []);
        front.TrySendRaw(AskFeatures); // a well-formed one behind it: something has to come
        Answer answer = front.Receive();
        return answer.Kind switch
        {
            AnswerKind.Closed => "connection closed",
            AnswerKind.Silence => throw new FailedException($"neither an answer nor the end of the connection within {bench.Patience.TotalSeconds} s"),
            _ when (answer.Flags & 7) == FrontEnd.ReplyFlags => $"answered with flags 0x{answer.Flags:x}",
            _ => throw new FailedException($"answered with flags 0x{answer.Flags:x}"),
        };
    }
}
