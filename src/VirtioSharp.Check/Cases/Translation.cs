using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;

namespace VirtioSharp.Check.Cases;

/// <summary>VIRTIO_F_ACCESS_PLATFORM: the driver's addresses are an IOMMU's, and the front-end gives translations of 4 KiB.</summary>
internal static class Translation
{
    private const string Section = "IOMMU support";

    public static CheckCase[] All { get; } =
    [
        Translates("iotlb-split", 0),
        Translates("iotlb-packed", Feature.RingPacked),
        new("iotlb-several-entries", From.VhostUser($"{Section}: entries have an address and a size of their own"), "One descriptor may reach over several entries.", bench =>
        {
            (Session session, Iommu iommu) = Iommu.Start(bench);
            MustServe(bench, iommu, Iommu.PageOf(session.Ring.Buffers) + 2 * Iommu.PageBytes - 40);
            return Seen(iommu);
        }, Needs.Ring),
        new("iotlb-exact-access", From.VhostUser($"{Section}: a miss has the I/O virtual address and the permissions flags"),
            "A miss asks for the access that the descriptor needs and no more: an IOMMU need not allow more.", bench =>
        {
            (Session session, Iommu iommu) = Iommu.Start(bench);
            MapRing(session, iommu);
            ulong room = session.NextRoom();
            Segment[] segments = session.Prepare(room);
            session.Ring.Offer(segments);
            session.Ring.Kick.Signal();
            Miss miss = MustMiss(bench, iommu, segments[0].Address);
            int needed = segments[0].IsWritable ? Iommu.Write : Iommu.Read;
            return miss.Access == needed
                ? $"asked for {miss.Access}"
                : throw new FailedException($"a miss asks for the permission {miss.Access}, the descriptor needs {needed}");
        }, Needs.Ring),
        new("iotlb-invalidate", From.VhostUser($"{Section}: invalidation events"), "What was taken back is not used any more: the next request asks again.", bench =>
        {
            (Session session, Iommu iommu) = Iommu.Start(bench);
            ulong room = session.NextRoom();
            MustServe(bench, iommu, room);
            iommu.Invalidate(Iommu.PageOf(room), Iommu.PageBytes);
            session.Ring.Offer(session.Prepare(room));
            session.Ring.Kick.Signal();
            MustMiss(bench, iommu, room);
            return Seen(iommu);
        }, Needs.Ring),
        new("iotlb-invalidate-all", From.VhostUser($"{Section}: invalidation events"), "Also the ring's own pages may be taken back while it runs; once they are given again, it goes on where it stood.", bench =>
        {
            (_, Iommu iommu) = Iommu.Start(bench);
            MustServe(bench, iommu);
            iommu.Invalidate(0, ulong.MaxValue);
            MustServe(bench, iommu);
            return Seen(iommu);
        }, Needs.Ring),
        new("iotlb-ring-stopped", From.VhostUser("GET_VRING_BASE"), "A ring that waits for a translation can be stopped, and the connection is served meanwhile.", bench =>
        {
            (Session session, Iommu iommu) = Iommu.Start(bench);
            session.OfferGood();
            session.Ring.Kick.Signal();
            bool missed = iommu.TryNext(bench.Pause, out _);
            session.Front.Barrier();
            return $"{(missed ? "a miss" : "no miss")}, the ring stopped at {session.StopRing()}";
        }, Needs.Ring),
        new("iotlb-read-only", From.Virtio("6.1: the device uses the platform's address translation"), "A page that was given to be read is not written, whatever the descriptor says.", bench =>
            Refused(bench, (session, iommu, room) =>
            {
                iommu.Map(Iommu.PageOf(room), Iommu.PageBytes, Iommu.Read);
                return true;
            }), Needs.Ring),
        new("iotlb-miss-refused", From.VhostUser($"{Section}: non-zero otherwise"), "A miss that is refused costs the request at most.", bench =>
            Refused(bench, (_, _, _) => false), Needs.Ring),
        Bad("iotlb-type-0", "A type that does not exist", (ram, io) => Payload.Iotlb(io, 4096, ram.User, 3, 0)),
        Bad("iotlb-type-miss", "The type of a back-end's message", (ram, io) => Payload.Iotlb(io, 4096, ram.User, 3, Iommu.MissType)),
        Bad("iotlb-type-255", "A type that does not exist", (ram, io) => Payload.Iotlb(io, 4096, ram.User, 3, 255)),
        Bad("iotlb-permission-0", "An entry that allows nothing", (ram, io) => Payload.Iotlb(io, 4096, ram.User, 0, Iommu.Update)),
        Bad("iotlb-permission-255", "A permission that does not exist", (ram, io) => Payload.Iotlb(io, 4096, ram.User, 255, Iommu.Update)),
        Bad("iotlb-size-0", "An empty entry", (ram, io) => Payload.Iotlb(io, 0, ram.User, 3, Iommu.Update)),
        Bad("iotlb-address-wraps", "An entry whose I/O addresses wrap", (ram, _) => Payload.Iotlb(ulong.MaxValue - 0xFFF, 8192, ram.User, 3, Iommu.Update)),
        Bad("iotlb-user-wraps", "An entry whose user addresses wrap", (_, io) => Payload.Iotlb(io, 8192, ulong.MaxValue - 0xFFF, 3, Iommu.Update)),
        Bad("iotlb-user-outside", "An entry of memory that is not shared", (_, io) => Payload.Iotlb(io, 4096, 0x1000, 3, Iommu.Update)),
        Bad("iotlb-user-beyond", "An entry that reaches beyond its region", (ram, io) => Payload.Iotlb(io, 1UL << 40, ram.User, 3, Iommu.Update)),
        Bad("iotlb-payload-short", "A message without its type", (_, _) => new byte[25]),
        new("iotlb-without-feature", From.VhostUser("IOTLB_MSG: only when VIRTIO_F_IOMMU_PLATFORM has been negotiated"), "IOTLB_MSG without ACCESS_PLATFORM is ignored, refused, or ends the connection.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            session.ShareMemory();
            return session.Front.Attempt(Request.IotlbMsg, Payload.Iotlb(session.Ram.Guest, 4096, session.Ram.User, 3, Iommu.Update)).Text();
        }),
        new("iotlb-overlapping", From.VhostUser(Section), "Entries that overlap others take their place: requests are served in the memory given last.", bench =>
        {
            (Session session, Iommu iommu) = Iommu.Start(bench);
            for (ulong size = 4096; size <= 1 << 20; size *= 2)
                iommu.Map(session.Ram.Guest, size);
            for (ulong size = 1 << 20; size >= 4096; size /= 2)
                iommu.Map(session.Ram.Guest + size, 4096);
            MustServe(bench, iommu);
            return Seen(iommu);
        }, Needs.Ring),
        new("iotlb-entries-without-end", From.History("a cache that a peer can fill has an end"), "20000 entries do no harm, and the ring is served among them.", bench =>
        {
            (Session session, Iommu iommu) = Iommu.Start(bench);
            MustServe(bench, iommu);
            byte[] next = Payload.Iotlb(0, 4096, session.Ram.User, Iommu.Read, Iommu.Update);
            for (ulong i = 1; i <= 20000; i++)
            {
                BitConverter.TryWriteBytes(next, (1UL << 50) + i * 4096);
                session.Front.Ask(Request.IotlbMsg, 8, next);
            }

            MustServe(bench, iommu);
            return Seen(iommu);
        }, Needs.Ring),
        new("iotlb-answer-of-noise", From.History("a stream that lost its framing"), "Noise on the back-end's own socket costs the connection at most.", bench =>
        {
            (Session session, Iommu iommu) = Iommu.Start(bench);
            iommu.TryNext(bench.Pause, out _);
            iommu.Send([.. Enumerable.Repeat((byte)0xA5, 333)]);
            return session.Front.CloseComes(bench.Pause) ? "connection closed" : "ignored";
        }),
    ];

    private static CheckCase Translates(string name, ulong feature) =>
        new(name, From.VhostUser($"{Section}: ring addresses are I/O virtual addresses, misses are asked for"), "Ring, tables and buffers are found where the front-end says, page by page.", bench =>
        {
            if (feature != 0)
                bench.NeedFeature(feature);
            (_, Iommu iommu) = Iommu.Start(bench, feature);
            for (int i = 0; i < 5; i++)
                MustServe(bench, iommu);
            return iommu.Misses > 0 ? Seen(iommu) : throw new FailedException("a request was answered, and no translation was asked for");
        }, Needs.Ring);

    private static CheckCase Bad(string name, string what, Func<GuestRegion, ulong, byte[]> payload) =>
        new(name, From.MayClose, $"{what} is refused, or does no harm.", bench =>
        {
            (Session session, _) = Iommu.Start(bench);
            return session.Front.Attempt(Request.IotlbMsg, payload(session.Ram, session.Ram.Guest + session.Ram.Size)).Text();
        });

    /// <summary>A request to a page that the IOMMU does not let the device write.</summary>
    private static string Refused(Bench bench, Func<Session, Iommu, ulong, bool> prepare)
    {
        (Session session, Iommu iommu) = Iommu.Start(bench);
        MapRing(session, iommu);
        ulong room = session.NextRoom();
        Segment[] segments = session.Prepare(room);
        bool isMapped = prepare(session, iommu, room);
        Segment last = segments[^1]; // what is written comes last
        byte[] before = session.Ram.At(last.Address, (int)last.Length).ToArray();
        uint id = session.Ring.Offer(segments);
        session.Ring.Kick.Signal();
        string seen = isMapped ? "no miss" : "nothing was asked";
        if (TryMiss(iommu, bench.Pause, room, out Miss miss))
        {
            iommu.AnswerMiss(1);
            seen = $"a miss for {miss.Access}";
        }

        string answered = session.TryTake(bench.Pause, out Used used) && used.Id == id ? $"the chain came back with length {used.Length}" : "the chain was not answered";
        if (!session.Ram.At(last.Address, (int)last.Length).SequenceEqual(before))
            throw new FailedException("the device wrote to a page that it was not given to write");
        iommu.Map(Iommu.PageOf(room), Iommu.PageBytes);
        if (iommu.TryServe(bench.Pause))
            return $"{seen}, {answered}, the ring serves on";
        session.RestartRing();
        return iommu.TryServe(bench.Patience) ? $"{seen}, {answered}; started again, the ring serves" : $"{seen}, {answered}; the ring stays silent in this session";
    }

    private static void MapRing(Session session, Iommu iommu) => iommu.Map(session.Ring.Start, session.Ring.Buffers - session.Ring.Start);

    private static void MustServe(Bench bench, Iommu iommu, ulong? at = null)
    {
        if (!iommu.TryServe(bench.Patience, at))
            throw new FailedException($"a request is not answered within {bench.Patience.TotalSeconds} s, though every miss was ({iommu.Misses} so far)");
    }

    private static Miss MustMiss(Bench bench, Iommu iommu, ulong address) => TryMiss(iommu, bench.Patience, address, out Miss miss)
        ? miss
        : throw new FailedException($"nobody asks for the translation of 0x{address:x} within {bench.Patience.TotalSeconds} s");

    /// <summary>Waits for the miss of one page; the ring's own are answered.</summary>
    private static bool TryMiss(Iommu iommu, TimeSpan within, ulong address, out Miss miss)
    {
        while (iommu.TryNext(within, out miss))
        {
            if (Iommu.PageOf(miss.Address) == Iommu.PageOf(address))
                return true;
            iommu.Answer(miss);
        }

        return false;
    }

    private static string Seen(Iommu iommu) => $"{iommu.Misses} misses";
}
