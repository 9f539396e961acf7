using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>In-flight tracking and dirty logging, where they are offered.</summary>
internal static class Recovery
{
    private const int Entries = 64;

    /// <summary>QueueRegionSplit: a header of 16 bytes, and as many for each entry.</summary>
    private const int Region = 16 + 16 * Entries;

    public static CheckCase[] All { get; } =
    [
        new("inflight-served", From.VhostUser("Inflight I/O tracking"), "With the buffer given back by SET_INFLIGHT_FD, requests are served.", bench =>
        {
            (Session session, FileDescriptor _, ulong size) = Tracked(bench);
            session.Serve(5);
            return $"5 requests, a buffer of {size} bytes";
        }, Needs.Ring),
        new("inflight-cleared", From.VhostUser("Inflight I/O tracking: set the inflight field of each entry in the batch to 0"), "When all requests are answered, none is in flight in the buffer.", bench =>
        {
            (Session session, FileDescriptor buffer, ulong size) = Tracked(bench);
            session.Serve(5);
            session.StopRing();
            using MappedRegion region = MappedRegion.Map(buffer, 0, size);
            ushort version = BitConverter.ToUInt16(region.Slice(8, 2)), entries = BitConverter.ToUInt16(region.Slice(10, 2));
            if (version != 1)
                throw new FailedException($"version {version} in the region, 1 is due");
            for (int i = 0; i < Math.Min(entries, (ushort)Entries); i++)
                if (region.Slice(16 + 16 * (ulong)i, 1)[0] != 0)
                    throw new FailedException($"descriptor {i} is still in flight");
            return $"version 1, {entries} entries, none in flight";
        }, Needs.Ring),
        new("inflight-resubmitted", From.VhostUser("Inflight I/O tracking: resubmit inflight entries"), "A request that the buffer names as in flight is answered in the next session.", bench =>
        {
            (Session first, FileDescriptor buffer, ulong size) = Tracked(bench);
            first.Serve();
            first.StopRing();
            first.Front.Dispose();
            using FileDescriptor kept = buffer.Duplicate();

            // As after a crash: a request has been taken from the ring (the index is past it), and never used.
            Session second = bench.Prepare(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.InflightShmfd }, first.Ram);
            second.Split.Restart(5);
            var request = second.OfferGood();
            using (MappedRegion region = MappedRegion.Map(kept, 0, size))
            {
                region.Slice(0, Region).Clear();
                BitConverter.TryWriteBytes(region.Slice(8, 2), (ushort)1);
                BitConverter.TryWriteBytes(region.Slice(10, 2), (ushort)Entries);
                BitConverter.TryWriteBytes(region.Slice(14, 2), (ushort)5);
                Span<byte> entry = region.Slice(16 + 16 * (ulong)request.Id, 16);
                entry[0] = 1;
                BitConverter.TryWriteBytes(entry[8..], 1UL);
            }

            second.SetFeatures();
            second.ShareMemory();
            second.Front.Do(Request.SetInflightFd, Payload.Inflight(size, 0, 1, Entries), kept);
            second.Describe();
            second.Front.Do(Request.SetVringBase, Payload.State(0, 5)); // QEMU gives used.idx
            second.Ring.Kick.Signal();
            second.SetKick();
            second.Enable();
            second.TakeGood(request);
            second.Serve();
            return "answered once, and the ring serves on";
        }, Needs.Ring),
        Bad("inflight-too-many-queues", "DPDK CVE-2021-3839", "A buffer for 65535 queues", 1 << 20, 65535, Entries),
        Bad("inflight-too-many-entries", "DPDK CVE-2021-3839", "A buffer for queues of 65535 entries in one page", 4096, 1, 65535),
        Bad("inflight-of-nothing", "DPDK CVE-2021-3839", "A buffer of no size", 0, 1, Entries),
        Bad("inflight-beyond-file", "SIGBUS ends a process", "A buffer that claims more than its file has", 1UL << 40, 1, Entries, Needs.Danger),
        new("log-reply", From.VhostUser("Communication: SET_LOG_BASE needs a reply if LOG_SHMFD"), "SET_LOG_BASE with LOG_SHMFD is answered, also without need_reply.", bench =>
        {
            FrontEnd front = Logging(bench);
            SetLog(bench, front, 1 << 20);
            front.Barrier();
            return "answered";
        }),
        new("log-marks-writes", From.VhostUser("Migration"), "With LOG_ALL, pages of buffers and of the used ring that are written to are marked.", bench =>
        {
            bench.NeedFeature(Feature.LogAll);
            bench.Need(Protocol.LogShmfd);
            Session session = bench.Prepare(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.LogShmfd, Features = Feature.Version1 | Feature.LogAll });
            session.SetFeatures();
            session.ShareMemory();
            using FileDescriptor log = SetLog(bench, session.Front, 1 << 20);
            session.Describe();
            ulong used = session.Ring.DeviceArea;
            session.Front.Do(Request.SetVringAddr, Payload.Address(0, session.Ram.ToUser(session.Ring.Start), session.Ram.ToUser(used), session.Ram.ToUser(session.Ring.DriverArea), flags: 1, log: used));
            session.SetKick();
            session.Enable();
            ulong at = session.NextRoom();
            session.ServeOne(at, bench.Requests.Prepare(session.Ram, at));
            session.StopRing();
            using MappedRegion bits = MappedRegion.Map(log, 0, 1 << 20);
            string missing = string.Join(" and ", new[] { ("the buffer", at), ("the used ring", used) }.Where(page => !IsMarked(bits, page.Item2)).Select(page => page.Item1));
            return missing.Length == 0 ? "the pages of buffer and used ring are marked" : throw new FailedException($"the page of {missing} is not marked");
        }, Needs.Ring),
        new("log-too-small", From.History("Linux CVE-2019-14835"), "A log that does not cover memory is refused, or costs the connection at most.", bench =>
        {
            bench.NeedFeature(Feature.LogAll);
            bench.Need(Protocol.LogShmfd);
            Session session = bench.Prepare(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.LogShmfd, Features = Feature.Version1 | Feature.LogAll });
            session.SetFeatures();
            session.ShareMemory();
            using FileDescriptor log = SetLog(bench, session.Front, 4096, mustAnswer: false);
            if (session.Front.CloseComes(TimeSpan.Zero))
                return "connection closed";
            session.StartRing();
            session.OfferGood();
            return session.AfterBadChain();
        }, Needs.Ring | Needs.Danger),
    ];

    /// <summary>A session whose requests are tracked.</summary>
    private static (Session Session, FileDescriptor Buffer, ulong Size) Tracked(Bench bench)
    {
        bench.Need(Protocol.InflightShmfd);
        Session session = bench.Prepare(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.InflightShmfd });
        session.SetFeatures();
        Answer answer = session.Front.Ask(Request.GetInflightFd, -1, Payload.Inflight(0, 0, 1, Entries));
        if (answer.Fd is null || answer.Payload.Length < 20)
            throw new FailedException($"GET_INFLIGHT_FD: {answer.Payload.Length} bytes and {(answer.Fd is null ? "no" : "a")} descriptor");
        bench.Track(answer.Fd);
        (ulong size, ulong offset) = (BitConverter.ToUInt64(answer.Payload), BitConverter.ToUInt64(answer.Payload, 8));
        if (offset != 0)
            throw new SkippedException($"the buffer starts at {offset} in its file");
        if (size < Region)
            throw new FailedException($"a buffer of {size} bytes has no room for {Entries} entries");
        session.Front.Do(Request.SetInflightFd, Payload.Inflight(size, 0, 1, Entries), answer.Fd);
        session.ShareMemory();
        session.StartRing();
        return (session, answer.Fd, size);
    }

    private static CheckCase Bad(string name, string history, string what, ulong size, ushort queues, ushort entries, Needs needs = Needs.Nothing) =>
        new(name, From.History(history), $"{what} is refused, or does no harm.", bench =>
        {
            bench.Need(Protocol.InflightShmfd);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.InflightShmfd });
            GuestRegion file = bench.Ram(size: 1 << 20);
            return front.Attempt(Request.SetInflightFd, Payload.Inflight(size, 0, queues, entries), file.File).Text();
        }, needs);

    private static FrontEnd Logging(Bench bench)
    {
        bench.Need(Protocol.LogShmfd);
        return bench.Negotiate(Plan.Usual with { Protocol = Protocol.LogShmfd });
    }

    private static FileDescriptor SetLog(Bench bench, FrontEnd front, long size, bool mustAnswer = true)
    {
        FileDescriptor log = bench.Track(MemFd.Create("vio-check-log", size));
        front.TrySend(Request.SetLogBase, FrontEnd.Version, [.. Payload.U64((ulong)size), .. Payload.U64(0)], log);
        if (mustAnswer)
            front.Reply(Request.SetLogBase);
        else
            front.Receive(bench.Pause);
        return log;
    }

    private static bool IsMarked(MappedRegion bits, ulong address)
    {
        ulong page = address / 0x1000;
        return (bits.Slice(page / 8, 1)[0] & 1 << (int)(page % 8)) != 0;
    }
}
