using Microsoft.Win32.SafeHandles;
using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>Guest memory that is more than one piece, changes under running rings, or is not what it is said to be.</summary>
internal static class Memory
{
    private const ulong High = 1UL << 32, HighUser = 0x7f13_0000_0000;

    private static readonly string Table = From.VhostUser("SET_MEM_TABLE");

    public static CheckCase[] All { get; } =
    [
        new("memory-table-again", Table, "The whole table may be sent again while rings run: requests go on.", bench =>
        {
            Session session = bench.Start();
            for (int i = 0; i < 20; i++)
            {
                var request = session.OfferGood();
                session.Ring.Kick.Signal();
                session.ShareMemory();
                session.TakeGood(request);
            }

            return "20 tables among 20 requests";
        }, Needs.Ring),
        new("memory-table-grows", Table, "A region that a new table adds can be used, while the ring runs.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            GuestRegion high = bench.Ram(High, HighUser);
            session.Front.Do(Request.SetMemTable, Payload.Table(2, session.Ram.Description, high.Description), session.Ram.File, high.File);
            ServeIn(bench, session, high);
            return "a request in the new region";
        }, Needs.Ring),
        new("memory-several-regions", Table, "Ring and buffers may lie in different regions.", bench =>
        {
            Session session = bench.Prepare();
            GuestRegion[] regions = [session.Ram, .. Enumerable.Range(0, 7).Select(i => bench.Ram(High + ((ulong)i << 28), HighUser + ((ulong)i << 32)))];
            session.SetFeatures();
            session.Front.Do(Request.SetMemTable, Payload.Table(8, regions.Select(region => region.Description)), [.. regions.Select(region => region.File)]);
            session.StartRing();
            foreach (GuestRegion region in regions[1..])
                ServeIn(bench, session, region);
            return "eight regions, a request in each";
        }, Needs.Ring),
        new("memory-mmap-offset", From.VhostUser("Memory region description: mmap offset, where the region starts in the mapped memory"), "A region may start inside its file.", bench =>
        {
            GuestRegion ram = bench.Ram(offset: 0x3000);
            Session session = bench.Prepare(ram: ram);
            session.SetFeatures();
            session.ShareMemory();
            session.StartRing();
            session.Serve(3);
            return "served from offset 0x3000 of its file";
        }, Needs.Ring),
        new("memory-buffer-across-regions", From.Virtio("2.7.5: a buffer is contiguous in guest-physical addresses; regions are the front-end's matter"),
            "A buffer that runs from one region into the next is served.", bench =>
        {
            Session session = bench.Prepare();
            GuestRegion next = bench.Ram(session.Ram.Guest + session.Ram.Size, HighUser);
            session.SetFeatures();
            session.Front.Do(Request.SetMemTable, Payload.Table(2, session.Ram.Description, next.Description), session.Ram.File, next.File);
            session.StartRing();
            session.Serve();
            // The largest buffer of a request is moved over the border; the rest stays where it is.
            ulong at = session.NextRoom();
            Segment[] segments = bench.Requests.Prepare(session.Ram, at);
            int largest = Array.FindIndex(segments, segment => segment.IsWritable);
            uint before = segments[largest].Length / 2 - 3, after = segments[largest].Length - before;
            ulong moved = next.Guest - before;
            Span<byte> head = session.Ram.At(moved, (int)before), tail = next.At(next.Guest, (int)after);
            session.Ram.At(segments[largest].Address, (int)before).CopyTo(head);
            session.Ram.At(segments[largest].Address + before, (int)after).CopyTo(tail);
            ulong home = segments[largest].Address;
            segments[largest] = segments[largest] with { Address = moved };
            uint id = session.Ring.Offer(segments);
            session.Ring.Kick.Signal();
            uint length = session.Take(id);
            head.CopyTo(session.Ram.At(home, (int)before));
            tail.CopyTo(session.Ram.At(home + before, (int)after));
            bench.Requests.Verify(session.Ram, at, length);
            return $"{before} bytes before the border, {after} behind it";
        }, Needs.Ring),
        new("memory-slots-come-and-go", From.VhostUser("ADD_MEM_REG, REM_MEM_REG"), "Regions come and go while requests are under way.", bench =>
        {
            Session session = Slots(bench);
            for (int i = 0; i < 20; i++)
            {
                using var extra = new GuestRegion(High, HighUser);
                session.Front.Do(Request.AddMemReg, Payload.OneRegion(extra.Description), extra.File);
                ServeIn(bench, session, extra);
                session.Serve();
                session.Front.Do(Request.RemMemReg, Payload.OneRegion(extra.Description));
                session.Serve();
            }

            return "20 regions added, used and removed";
        }, Needs.Ring),
        new("memory-slot-offset-ignored", From.VhostUser("REM_MEM_REG"), "The region to be removed is identified by its guest address, user address and size. The mmap offset is ignored.", bench =>
        {
            FrontEnd front = SlotFront(bench);
            GuestRegion ram = bench.Ram(High, HighUser, offset: 0x1000);
            front.Do(Request.AddMemReg, Payload.OneRegion(ram.Description), ram.File);
            front.Do(Request.RemMemReg, Payload.OneRegion(Payload.Region(ram.Guest, ram.Size, ram.User, 0)));
            front.Barrier();
            return "removed by addresses and size";
        }),
        new("memory-slots-to-the-limit", From.VhostUser("GET_MAX_MEM_SLOTS"), "As many regions as the daemon names can be added.", bench =>
        {
            bench.Need(Protocol.ConfigureMemSlots);
            FrontEnd front = SlotFront(bench);
            ulong most = front.AskU64(Request.GetMaxMemSlots);
            ulong count = Math.Min(most, 256);
            GuestRegion ram = bench.Ram(size: 0x1000);
            for (ulong i = 0; i < count; i++)
                front.Do(Request.AddMemReg, Payload.OneRegion(Payload.Region(High + i * 0x10000, 0x1000, HighUser + i * 0x10000, 0)), ram.File);
            front.Barrier();
            return $"{count} regions of {most}";
        }),
        new("memory-slots-over-the-limit", From.VhostUser("GET_MAX_MEM_SLOTS"), "More regions than the daemon names do no harm.", bench =>
        {
            bench.Need(Protocol.ConfigureMemSlots);
            FrontEnd front = SlotFront(bench);
            ulong most = front.AskU64(Request.GetMaxMemSlots);
            if (most > 1024)
                throw new SkippedException($"{most} slots are too many to fill");
            GuestRegion ram = bench.Ram(size: 0x1000);
            for (ulong i = 0; i < most + 4; i++)
            {
                Outcome outcome = front.Attempt(Request.AddMemReg, Payload.OneRegion(Payload.Region(High + i * 0x10000, 0x1000, HighUser + i * 0x10000, 0)), ram.File);
                if (outcome.IsNo())
                    return i >= most ? $"region {i + 1} of {most}: {outcome.Text()}" : throw new FailedException($"region {i + 1} of {most}: {outcome.Text()}");
            }

            return $"{most + 4} regions were taken where {most} were named";
        }),
        new("memory-unknown-region-removed", From.VhostUser("REM_MEM_REG"), "Removing a region that is not there is not answered with success.", bench =>
            Descriptors.Refused(SlotFront(bench), Request.RemMemReg, Payload.OneRegion(Payload.Region(High, 0x1000, HighUser, 0)))),
        new("memory-removed-under-ring", From.History("QEMU CVE-2021-3748, use after unmap"), "When the region of a running ring goes, the daemon stops that ring at most.", bench =>
        {
            Session session = Slots(bench);
            session.Serve();
            session.OfferGood();
            Outcome outcome = session.Front.Attempt(Request.RemMemReg, Payload.OneRegion(session.Ram.Description));
            session.Ring.Kick.Signal();
            Thread.Sleep(50);
            return outcome.Text();
        }, Needs.Ring),
        new("memory-removed-under-request", From.History("QEMU CVE-2021-3748, use after unmap"), "A request whose buffers lie in a region that was removed fails, and nothing else.", bench =>
        {
            Session session = Slots(bench);
            GuestRegion extra = bench.Ram(High, HighUser);
            session.Front.Do(Request.AddMemReg, Payload.OneRegion(extra.Description), extra.File);
            ServeIn(bench, session, extra);
            session.Front.Do(Request.RemMemReg, Payload.OneRegion(extra.Description));
            session.Ring.Offer(bench.Requests.Prepare(extra, extra.Guest));
            return session.AfterBadChain();
        }, Needs.Ring),
        new("memory-overlapping", Table, "Regions that overlap are refused, or do no harm.", bench =>
        {
            GuestRegion first = bench.Ram(), second = bench.Ram(guest: GuestRegion.DefaultGuest + 0x1000, user: HighUser);
            return bench.Negotiate().Attempt(Request.SetMemTable, Payload.Table(2, first.Description, second.Description), first.File, second.File).Text();
        }),
        new("memory-region-empty", Table, "A region of no size is refused, or does no harm.", bench =>
        {
            GuestRegion ram = bench.Ram();
            return bench.Negotiate().Attempt(Request.SetMemTable, Payload.Table(1, Payload.Region(ram.Guest, 0, ram.User, 0)), ram.File).Text();
        }),
        new("memory-region-wraps", Table, "A region that wraps around all addresses is refused, or does no harm.", bench =>
        {
            GuestRegion ram = bench.Ram();
            return bench.Negotiate().Attempt(Request.SetMemTable, Payload.Table(1, Payload.Region(ulong.MaxValue - 0xFFF, ram.Size, ulong.MaxValue - 0xFFF, 0)), ram.File).Text();
        }),
        new("memory-region-of-all-addresses", Table, "A region of 2^64 - 4096 bytes is refused.", bench =>
        {
            GuestRegion ram = bench.Ram();
            return Descriptors.Refused(bench.Negotiate(), Request.SetMemTable, Payload.Table(1, Payload.Region(0, ulong.MaxValue & ~0xFFFUL, 0, 0)), ram.File);
        }),
        new("memory-offset-wraps", Table, "A region whose mmap offset and size add up to more than 2^64 is refused, or does no harm.", bench =>
        {
            GuestRegion ram = bench.Ram();
            return bench.Negotiate().Attempt(Request.SetMemTable, Payload.Table(1, Payload.Region(ram.Guest, ram.Size, ram.User, ulong.MaxValue & ~0xFFFUL)), ram.File).Text();
        }),
        new("memory-nine-regions", From.VhostUser("Multiple memory regions description: 8 regions"), "A table that announces nine regions is refused, or does no harm.", bench =>
        {
            GuestRegion ram = bench.Ram(size: 0x1000);
            IEnumerable<byte[]> regions = Enumerable.Range(0, 9).Select(i => Payload.Region(High + (ulong)i * 0x10000, 0x1000, HighUser + (ulong)i * 0x10000, 0));
            return bench.Negotiate().Attempt(Request.SetMemTable, Payload.Table(9, regions), [.. Enumerable.Repeat(ram.File, 9)]).Text();
        }),
        new("memory-region-count-ffffffff", From.VhostUser("Multiple memory regions description: 8 regions"), "A table that announces 4294967295 regions is not accepted.", bench =>
        {
            GuestRegion ram = bench.Ram();
            return Descriptors.Refused(bench.Negotiate(), Request.SetMemTable, Payload.Table(0xFFFFFFFF, ram.Description), ram.File);
        }),
        new("memory-read-only-file", From.Virtio("2.7.8: the device writes the used ring"), "Memory that cannot be written to is refused, or its ring is left alone.", bench =>
        {
            Session session = bench.Prepare();
            using FileDescriptor readOnly = OpenReadOnly(session.Ram.File);
            session.SetFeatures();
            Outcome outcome = session.Front.Attempt(Request.SetMemTable, Payload.Table(1, session.Ram.Description), readOnly);
            if (outcome.IsNo())
                return outcome.Text();
            session.OfferGood();
            session.StartRing();
            Thread.Sleep(50);
            return $"{outcome.Text()}; the daemon lives";
        }, Needs.Ring),
        new("memory-beyond-file", Table, "A region longer than its file is refused, or harmless while nobody goes there.", bench =>
        {
            GuestRegion ram = bench.Ram();
            return bench.Negotiate().Attempt(Request.SetMemTable, Payload.Table(1, Payload.Region(ram.Guest, 1UL << 30, ram.User, 0)), ram.File).Text();
        }),
        new("memory-ring-beyond-file", From.History("SIGBUS ends a process"), "A ring in the part of a region that its file does not have ends no daemon.", bench =>
        {
            Session session = bench.Prepare();
            session.SetFeatures();
            const ulong Claimed = 64 << 20;
            Outcome outcome = session.Front.Attempt(Request.SetMemTable, Payload.Table(1, Payload.Region(session.Ram.Guest, Claimed, session.Ram.User, 0)), session.Ram.File);
            if (outcome.IsNo())
                return outcome.Text();
            ulong beyond = session.Ram.User + Claimed / 2;
            session.Front.Attempt(Request.SetVringNum, Payload.State(0, 64));
            outcome = session.Front.Attempt(Request.SetVringAddr, Payload.Address(0, beyond, beyond + 0xA000, beyond + 0x8000));
            if (outcome.IsTheEnd())
                return outcome.Text();
            session.Ring.Kick.Signal();
            session.Front.TrySend(Request.SetVringKick, FrontEnd.Version, Payload.U64(0), session.Ring.Kick.Descriptor);
            session.Front.TrySend(Request.SetVringEnable, FrontEnd.Version, Payload.State(0, 1));
            return session.Front.CloseComes(bench.Pause) ? "connection closed" : "the ring is left alone";
        }, Needs.Ring | Needs.Danger),
        new("memory-cut-short", From.History("SIGBUS ends a process"), "Memory whose file is cut short while a ring runs in it ends no daemon.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            session.OfferGood();
            try
            {
                MemFd.Resize(session.Ram.File, 0);
            }
            catch (LinuxException forbidden)
            {
                return $"the daemon has sealed the file against it ({forbidden.Errno})";
            }

            session.Ring.Kick.Signal();
            return session.Front.CloseComes(bench.Pause) ? "connection closed" : "the daemon lives";
        }, Needs.Ring | Needs.Danger),
    ];

    private static FrontEnd SlotFront(Bench bench)
    {
        bench.Need(Protocol.ConfigureMemSlots);
        return bench.Negotiate(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.ConfigureMemSlots });
    }

    /// <summary>A session whose memory was added as a slot.</summary>
    private static Session Slots(Bench bench)
    {
        bench.Need(Protocol.ConfigureMemSlots);
        Session session = bench.Prepare(Plan.Usual with { Protocol = Protocol.ReplyAck | Protocol.ConfigureMemSlots });
        session.SetFeatures();
        session.Front.Do(Request.AddMemReg, Payload.OneRegion(session.Ram.Description), session.Ram.File);
        session.StartRing();
        return session;
    }

    /// <summary>A request whose buffers lie in another region than the ring.</summary>
    private static void ServeIn(Bench bench, Session session, GuestRegion region)
    {
        uint id = session.Ring.Offer(bench.Requests.Prepare(region, region.Guest));
        session.Ring.Kick.Signal();
        bench.Requests.Verify(region, region.Guest, session.Take(id));
    }

    private static FileDescriptor OpenReadOnly(FileDescriptor memory)
    {
        using SafeFileHandle opened = File.OpenHandle($"/proc/self/fd/{memory.Number}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        FileDescriptor readOnly = FileDescriptor.Adopt((int)opened.DangerousGetHandle());
        opened.SetHandleAsInvalid(); // one owner: closed twice, it would close whoever has the number by then
        return readOnly;
    }
}
