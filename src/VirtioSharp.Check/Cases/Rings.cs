using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Requests;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>Rings as good drivers use them: every format that is offered, far enough to wrap.</summary>
internal static class Rings
{
    public static CheckCase[] All { get; } =
    [
        new("ring-split", From.Virtio("2.7"), "Requests in a split ring are answered, more of them than the ring has entries.", bench =>
        {
            bench.Start(Plan.Usual with { Size = 16 }).Serve(100);
            return "100 requests in a ring of 16";
        }, Needs.Ring),
        new("ring-split-small", From.Virtio("2.7: queue size is a power of 2"), "A ring of 4 entries is enough for a request.", bench =>
        {
            bench.Start(Plan.Usual with { Size = 4 }).Serve(20);
            return "20 requests in a ring of 4";
        }, Needs.Ring),
        new("ring-split-full", From.Virtio("2.7.13"), "All entries made available at once are answered.", bench =>
        {
            Session session = bench.Start();
            int count = Math.Min(session.Ring.Size / bench.Requests.Descriptors, 50);
            for (int round = 0; round < 5; round++)
            {
                var all = new (ulong At, uint Id)[count];
                for (int i = 0; i < count; i++)
                    all[i] = session.OfferGood();
                session.Ring.Kick.Signal();
                TakeAll(bench, session, all);
            }

            return $"5 times {count} requests with one kick";
        }, Needs.Ring),
        new("ring-packed", From.Virtio("2.8"), "Requests in a packed ring are answered, over several wraps.", bench =>
        {
            bench.NeedFeature(Feature.RingPacked);
            Session session = bench.Start(Plan.Usual with { Features = Feature.Version1 | Feature.RingPacked, Size = 16 });
            session.Serve(100);
            return "100 requests in a packed ring of 16";
        }, Needs.Ring),
        new("ring-packed-base", From.VhostUser("Vring descriptor indices for packed virtqueues"), "GET_VRING_BASE returns both indices with their wrap counters.", bench =>
        {
            bench.NeedFeature(Feature.RingPacked);
            Session session = bench.Start(Plan.Usual with { Features = Feature.Version1 | Feature.RingPacked, Size = 16 });
            session.Serve(21);
            return BaseIs(session.StopRing(), session.Ring.Base);
        }, Needs.Ring),
        new("ring-indirect", From.Virtio("2.7.5.3"), "A request in an indirect table is answered.", bench =>
        {
            bench.NeedFeature(Feature.IndirectDesc);
            return Indirect(bench, bench.Start());
        }, Needs.Ring),
        new("ring-indirect-behind-plain", From.Virtio("2.7.5.3.2"), "The device MUST handle normal chained descriptors followed by a single one with INDIRECT.", bench =>
        {
            bench.NeedFeature(Feature.IndirectDesc);
            return Mixed(bench, tableFlags: 4);
        }, Needs.Ring),
        new("ring-indirect-write-flag", From.Virtio("2.7.5.3.2"), "The device MUST ignore the write-only flag in the descriptor that refers to an indirect table.", bench =>
        {
            bench.NeedFeature(Feature.IndirectDesc);
            return Mixed(bench, tableFlags: 4 | 2);
        }, Needs.Ring),
        new("ring-packed-indirect", From.Virtio("2.8.7"), "A request in an indirect table of a packed ring is answered.", bench =>
        {
            bench.NeedFeature(Feature.IndirectDesc);
            bench.NeedFeature(Feature.RingPacked);
            return Indirect(bench, bench.Start(Plan.Usual with { Features = Feature.Version1 | Feature.RingPacked | Feature.IndirectDesc }));
        }, Needs.Ring),
        new("ring-event-idx-interrupt", From.Virtio("2.7.7.2"), "With EVENT_IDX an interrupt comes when used_event is reached.", bench =>
        {
            bench.NeedFeature(Feature.EventIdx);
            Session session = bench.Start();
            session.Serve(2);
            session.Front.Barrier();
            session.Ring.Call.TryDrain(out _);
            var request = session.OfferGood();
            session.Ring.Kick.Signal();
            if (!Readiness.WaitReadable(session.Ring.Call.Descriptor, bench.Patience))
                throw new FailedException("used_event was reached, but the call descriptor is not signalled");
            session.TakeGood(request);
            return "signalled";
        }, Needs.Ring),
        new("ring-event-idx-kick", From.Virtio("2.7.10.2"), "With EVENT_IDX a kick that avail_event asks for is enough: the driver need not kick otherwise.", bench =>
        {
            bench.NeedFeature(Feature.EventIdx);
            Session session = bench.Start();
            int kicks = 0;
            for (int i = 0; i < 50; i++)
            {
                ushort before = session.Split.AvailableIndex;
                var request = session.OfferGood();
                Interlocked.MemoryBarrier(); // our index is written before the device's wish is read
                if (session.Split.AvailableEvent == before)
                {
                    session.Ring.Kick.Signal();
                    kicks++;
                }

                session.TakeGood(request);
            }

            return $"{kicks} kicks for 50 requests";
        }, Needs.Ring),
        new("ring-interrupt", From.VhostUser("SET_VRING_CALL: signal when buffers are used"), "Without EVENT_IDX each used buffer is signalled unless the driver says not to.", bench =>
        {
            Session session = bench.Start(Plan.Usual with { Features = Feature.Version1 });
            session.Front.Barrier();
            session.Ring.Call.TryDrain(out _);
            for (int i = 0; i < 5; i++)
            {
                var request = session.OfferGood();
                session.Ring.Kick.Signal();
                if (!Readiness.WaitReadable(session.Ring.Call.Descriptor, bench.Patience))
                    throw new FailedException("the call descriptor is not signalled");
                session.Ring.Call.TryDrain(out _);
                session.TakeGood(request);
            }

            return "5 requests, each signalled";
        }, Needs.Ring),
        new("ring-kicks-without-requests", From.Virtio("2.3: a notification says that a buffer may have been made available"), "Kicks without a request are harmless: nothing is used.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            for (int i = 0; i < 200; i++)
                session.Ring.Kick.Signal();
            session.Front.Barrier();
            Thread.Sleep(20);
            if (session.Ring.TryTake(out Used used))
                throw new FailedException($"chain {used.Id} was used, none was available");
            session.Serve(3);
            return "200 kicks, nothing used, served on";
        }, Needs.Ring),
        new("ring-index-wraps", From.VhostUser("A vring descriptor index: free-running, not wrapped by the ring size"), "A ring that starts at 0xFFF0 goes on over 0xFFFF to 0.", bench =>
        {
            Session session = bench.Start(Plan.Usual with { At = 0xFFF0 });
            session.Serve(40);
            return BaseIs(session.StopRing(), (0xFFF0 + 40) & 0xFFFF);
        }, Needs.Ring),
        new("ring-base-returned", From.VhostUser("GET_VRING_BASE"), "The reply is the next index to process in the available ring, and the same when asked again.", bench =>
        {
            Session session = bench.Start();
            session.Serve(7);
            BaseIs(session.StopRing(), 7);
            return BaseIs(session.StopRing(), 7) + ", twice";
        }, Needs.Ring),
        new("ring-base-before-start", From.VhostUser("SET_VRING_BASE, GET_VRING_BASE"), "A base that was set is returned by a ring that never ran.", bench =>
        {
            FrontEnd front = bench.Negotiate();
            front.Do(Request.SetVringNum, Payload.State(0, 64));
            front.Do(Request.SetVringBase, Payload.State(0, 1234));
            return BaseIs(BitConverter.ToUInt32(front.Ask(Request.GetVringBase, 8, Payload.State(0, 0)).Payload, 4), 1234);
        }),
        new("ring-goes-on", From.VhostUser("SET_VRING_BASE"), "A ring that is stopped goes on where it stood.", bench =>
        {
            Session session = bench.Start();
            for (int round = 0; round < 5; round++)
            {
                session.Serve(9);
                BaseIs(session.StopRing(), session.Ring.Base);
                session.StartRing();
            }

            session.Serve();
            return "stopped and started five times";
        }, Needs.Ring),
        new("ring-base-with-backlog", From.VhostUser("GET_VRING_BASE: this may differ from the available index in memory"),
            "Requests made available around a stop are answered once each, before or after it.", bench =>
        {
            Session session = bench.Start();
            for (int round = 0; round < 10; round++)
            {
                var all = new (ulong At, uint Id)[10];
                for (int i = 0; i < all.Length; i++)
                    all[i] = session.OfferGood();
                session.Ring.Kick.Signal();
                uint at = session.StopRing();
                ushort used = session.Split.UsedIndex;
                if ((ushort)at != used)
                    throw new FailedException($"stopped at {at}, with {used} used: requests in between are lost to the next back-end");
                session.Front.Do(Request.SetVringBase, Payload.State(0, at));
                session.SetKick();
                session.Enable();
                TakeAll(bench, session, all);
            }

            return "10 times 10 requests, none lost and none twice";
        }, Needs.Ring),
        new("ring-stopped-left-alone", From.VhostUser("Ring states: while a ring is stopped, the back-end must not process the ring at all"), "After GET_VRING_BASE requests stay where they are.", bench =>
        {
            Session session = bench.Start();
            session.Serve(3);
            session.StopRing();
            ushort used = session.Split.UsedIndex;
            session.OfferGood();
            session.Ring.Kick.Signal();
            session.Front.Barrier();
            Thread.Sleep(30);
            return session.Split.UsedIndex == used ? "left alone" : throw new FailedException("a stopped ring was served");
        }, Needs.Ring),
        new("ring-largest", From.Virtio("2.7: queue size at most 32768"), "A ring of 128 entries, the size VMMs give a disk, is served.", bench =>
        {
            bench.Start(Plan.Usual with { Size = 128 }).Serve(130);
            return "130 requests in a ring of 128";
        }, Needs.Ring),
        new("ring-cut-buffers", From.Virtio("2.7.4.1: the device MUST NOT make assumptions about the particular arrangement of descriptors"),
            "A request in uneven pieces, its header and status among them, is answered.", bench =>
        {
            Session session = bench.Start();
            foreach (int[] lengths in (int[][])[[1, 7, 100], [3], [16, 1, 511]])
            {
                ulong at = session.NextRoom();
                Segment[] pieces = DeviceRequests.Cut(bench.Requests.Prepare(session.Ram, at), lengths);
                if (pieces.Length <= session.Ring.Size)
                    session.ServeOne(at, pieces);
            }

            return "cut into 1, 7, 100 … bytes";
        }, Needs.Ring),
        new("ring-buffer-of-nothing", From.Virtio("2.7.5"), "A descriptor of length 0 among others does no harm.", bench =>
        {
            Session session = bench.Start();
            Segment[] good = bench.Requests.Prepare(session.Ram, session.NextRoom());
            session.Ring.Offer([.. good[..^1], good[^1] with { Length = 0 }, good[^1]]);
            return session.AfterBadChain();
        }, Needs.Ring),
        new("ring-second-queue", From.VhostUser("Multiple queue support"), "Each of several queues is served.", bench =>
        {
            if (bench.Offer.Queues < 2)
                throw new SkippedException("the daemon has one queue");
            Session first = bench.Start();
            first.Serve(3);
            var ring = new SplitRing(first.Ram, first.Ram.Guest + DriverRing.Extent, 64, index: 1);
            Session second = bench.Track(new Session(bench, first.Front, first.Ram, ring, first.Features));
            second.StartRing();
            second.Serve(3);
            first.Serve(3);
            second.StopRing();
            first.Serve(3);
            return "two queues, and the first goes on when the second stops";
        }, Needs.Block),
    ];

    internal static string BaseIs(uint seen, uint expected) => seen == expected
        ? $"0x{seen:x}"
        : throw new FailedException($"the ring stands at 0x{expected:x}, GET_VRING_BASE says 0x{seen:x}");

    private static string Indirect(Bench bench, Session session)
    {
        for (int i = 0; i < 30; i++)
        {
            ulong at = session.NextRoom();
            Segment[] plain = bench.Requests.Prepare(session.Ram, at);
            uint id = session.Ring.OfferIndirect(session.Ring.IndirectTable, i % 2 == 0 ? plain : DeviceRequests.Cut(plain, 40, 9));
            session.Ring.Kick.Signal();
            bench.Requests.Verify(session.Ram, at, session.Take(id));
        }

        return "30 requests, whole and in pieces";
    }

    /// <summary>The first piece of a request in the ring, the others in an indirect table.</summary>
    private static string Mixed(Bench bench, int tableFlags)
    {
        Session session = bench.Start();
        ulong at = session.NextRoom();
        Segment[] pieces = DeviceRequests.Cut(bench.Requests.Prepare(session.Ram, at), 16, 512, 20);
        SplitRing ring = session.Split;
        for (int i = 1; i < pieces.Length; i++)
            ring.SetIndirect(i - 1, pieces[i].Address, pieces[i].Length, (pieces[i].IsWritable ? 2 : 0) | (i < pieces.Length - 1 ? 1 : 0), (ushort)i);
        ring.SetDescriptor(40, pieces[0].Address, pieces[0].Length, 1 | (pieces[0].IsWritable ? 2 : 0), 41);
        ring.SetDescriptor(41, ring.IndirectTable, 16 * (uint)(pieces.Length - 1), tableFlags);
        ring.OfferHead(40);
        ring.Kick.Signal();
        bench.Requests.Verify(session.Ram, at, session.Take(40));
        return $"1 descriptor, then {pieces.Length - 1} in a table";
    }

    /// <summary>Each comes back once, in any order.</summary>
    private static void TakeAll(Bench bench, Session session, (ulong At, uint Id)[] all)
    {
        var open = all.ToDictionary(request => request.Id);
        while (open.Count > 0)
        {
            if (!session.TryTake(bench.Patience, out Used used))
                throw new FailedException($"{open.Count} of {all.Length} requests are not answered within {bench.Patience.TotalSeconds} s");
            if (!open.Remove(used.Id, out (ulong At, uint Id) request))
                throw new FailedException($"chain {used.Id} was used twice, or was never available");
            bench.Requests.Verify(session.Ram, request.At, used.Length);
        }
    }
}
