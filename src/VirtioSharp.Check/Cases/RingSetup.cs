using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;

namespace VirtioSharp.Check.Cases;

/// <summary>Rings that cannot be: numbers and addresses that a front-end passes on from a guest.</summary>
internal static class RingSetup
{
    private const ulong User = GuestRegion.DefaultUser;

    public static CheckCase[] All { get; } =
    [
        .. new[] { Request.SetVringNum, Request.SetVringBase, Request.SetVringAddr, Request.SetVringEnable, Request.GetVringBase, Request.SetVringKick, Request.SetVringCall }.Select(NoSuchRing),
        Number(0), Number(3), Number(32769), Number(65536), Number(0xFFFFFFFF),
        new("ring-base-65536", From.VhostUser("A vring descriptor index: bits 16-31 are reserved (set to zero)"), "A base of more than 16 bits does no harm.", bench =>
            bench.Negotiate().Attempt(Request.SetVringBase, Payload.State(0, 0x12345)).Text()),
        Place("ring-unaligned-descriptors", "2.7: descriptor table aligned to 16", User + 8, User + 0xA000, User + 0x8000),
        Place("ring-unaligned-available", "2.7: available ring aligned to 2", User, User + 0xA000, User + 0x8001),
        Place("ring-unaligned-used", "2.7: used ring aligned to 4", User, User + 0xA002, User + 0x8000),
        Place("ring-outside-memory", "2.7", 0x1234_5670_0000, 0x1234_5670_A000, 0x1234_5670_8000),
        Place("ring-at-zero", "2.7", 0, 0, 0),
        Place("ring-at-the-end-of-all", "2.7", ulong.MaxValue & ~0xFUL, ulong.MaxValue & ~3UL, ulong.MaxValue - 1),
        Place("ring-over-the-end-of-memory", "2.7", User + GuestRegion.DefaultSize - 16, User + 0xA000, User + 0x8000),
        Place("ring-used-over-the-end", "2.7", User, User + GuestRegion.DefaultSize - 8, User + 0x8000),
        Place("ring-over-itself", "2.7", User, User, User),
        new("ring-without-address", From.VhostUser("Ring states"), "A ring that is kicked and enabled but has no address is left alone.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            session.Front.Do(Request.SetVringNum, Payload.State(0, 64));
            session.Ring.Kick.Signal();
            Outcome kick = session.Front.Attempt(Request.SetVringKick, Payload.U64(0), session.Ring.Kick.Descriptor);
            return kick.IsTheEnd() ? kick.Text() : session.Front.Attempt(Request.SetVringEnable, Payload.State(0, 1)).Text();
        }),
        new("ring-without-memory", From.VhostUser("Ring states"), "A ring that is started without any memory is left alone.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.Ring.Kick.Signal();
            foreach ((uint request, byte[] payload) in new[]
                     {
                         (Request.SetVringNum, Payload.State(0, 64)), (Request.SetVringBase, Payload.State(0, 0)), (Request.SetVringAddr, session.Ring.Address),
                     })
            {
                Outcome outcome = session.Front.Attempt(request, payload);
                if (outcome.IsNo())
                    return $"{Request.Name(request)}: {outcome.Text()}";
            }

            Outcome kick = session.Front.Attempt(Request.SetVringKick, Payload.U64(0), session.Ring.Kick.Descriptor);
            return kick.IsTheEnd() ? kick.Text() : session.Front.Attempt(Request.SetVringEnable, Payload.State(0, 1)).Text();
        }),
    ];

    private static CheckCase NoSuchRing(uint request)
    {
        string name = Request.Name(request);
        return new CheckCase($"ring-index-in-{name.ToLowerInvariant().Replace('_', '-')}", From.VhostUser($"{name}; Multiple queue support"),
            $"{name} for a ring that the device does not have is not accepted.", bench =>
        {
            if (bench.Offer.Queues > 250)
                throw new SkippedException("the daemon has so many rings that 8 bits name no other");
            uint index = bench.Offer.Queues == 0 ? 255 : bench.Offer.Queues;
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            if (request == Request.GetVringBase)
                return NoBase(session.Front, index);
            Linux.FileDescriptor[] fds = request is Request.SetVringKick or Request.SetVringCall ? [session.Ring.Kick.Descriptor] : [];
            byte[] payload = request switch
            {
                Request.SetVringAddr => Payload.Address(index, User, User + 0xA000, User + 0x8000),
                Request.SetVringKick or Request.SetVringCall => Payload.U64(index),
                _ => Payload.State(index, 1),
            };
            string seen = $"ring {index}: {Descriptors.Refused(session.Front, request, payload, fds)}";
            if (fds.Length > 0)
                return seen; // 8 bits of index only
            payload = [.. BitConverter.GetBytes(0xFFFFFFFF), .. payload[4..]];
            return $"{seen}; ring 4294967295: {Descriptors.Refused(bench.Negotiate(), request, payload)}";
        });
    }

    /// <summary>It has a reply of its own, so there is no way to refuse it but an empty or odd one, or the end.</summary>
    private static string NoBase(FrontEnd front, uint index)
    {
        Answer answer = front.TrySend(Request.GetVringBase, FrontEnd.Version, Payload.State(index, 0)) && front.TrySend(Request.GetFeatures, FrontEnd.Version, [])
            ? front.Receive()
            : new Answer(AnswerKind.Closed);
        return answer.Kind switch
        {
            AnswerKind.Closed => $"ring {index}: connection closed",
            AnswerKind.Silence => throw new FailedException("neither an answer nor the end of the connection comes"),
            _ => answer.Request == Request.GetVringBase ? $"ring {index}: answered with {answer.Payload.Length} bytes" : $"ring {index}: ignored",
        };
    }

    private static CheckCase Number(uint number) =>
        new($"ring-number-{number}", From.Virtio("2.7: queue size is a power of 2, at most 32768"), $"A ring of {number} entries does no harm, also when it is started.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            session.Describe();
            Outcome outcome = session.Front.Attempt(Request.SetVringNum, Payload.State(0, number));
            return outcome.IsNo() ? outcome.Text() : $"{outcome.Text()}; {Run(bench, session)}";
        });

    private static CheckCase Place(string name, string section, ulong descriptors, ulong used, ulong available) =>
        new(name, From.Virtio(section), "A ring that lies where none can is refused, or left alone when it is started.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            session.Describe();
            Outcome outcome = session.Front.Attempt(Request.SetVringAddr, Payload.Address(0, descriptors, used, available));
            return outcome.IsNo() ? outcome.Text() : $"{outcome.Text()}; {Run(bench, session)}";
        });

    /// <summary>Starts it all the same. An answer or the end has to come; what the ring does is up to the daemon.</summary>
    private static string Run(Bench bench, Session session)
    {
        session.Ring.Kick.Signal();
        Outcome kick = session.Front.Attempt(Request.SetVringKick, Payload.U64(0), session.Ring.Kick.Descriptor);
        if (kick.IsTheEnd())
            return $"kick: {kick.Text()}";
        Outcome enable = session.Front.Attempt(Request.SetVringEnable, Payload.State(0, 1));
        if (enable.IsTheEnd() || session.Front.CloseComes(bench.Pause / 4))
            return "started: connection closed";
        return $"started: {enable.Text()}";
    }
}
