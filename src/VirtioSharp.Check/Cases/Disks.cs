using System.Buffers.Binary;
using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Requests;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Cases;

/// <summary>What a block device answers, and what it does with requests that make no sense.</summary>
internal static class Disks
{
    private const ulong ReadOnlyFeature = 1UL << 5, FlushFeature = 1UL << 9;

    public static CheckCase[] All { get; } =
    [
        new("blk-capacity-read-only", From.VhostUser("SET_CONFIG: back-ends MUST NOT accept SET_CONFIG for read-only configuration space fields"),
            "SET_CONFIG of the capacity is refused, and changes nothing.", bench =>
        {
            bench.Need(Protocol.Config | Protocol.ReplyAck);
            FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.Config | Protocol.ReplyAck });
            byte[] before = Capacity(front);
            Outcome outcome = front.Attempt(Request.SetConfig, Payload.Config(0, 8, [1, 0, 0, 0, 0, 0, 0, 0]));
            if (!outcome.IsTheEnd() && !Capacity(front).AsSpan().SequenceEqual(before))
                throw new FailedException("the capacity has changed");
            return outcome.IsNo() ? outcome.Text() : throw new FailedException($"{outcome.Text()}, though the capacity is the same");

            static byte[] Capacity(FrontEnd front) => front.Ask(Request.GetConfig, 20, Payload.Config(0, 8, new byte[8])).Payload[12..];
        }, Needs.Block),
        new("blk-capacity", From.Virtio("5.2.4: capacity"), "Configuration space tells the capacity in sectors.", bench => $"{Capacity(bench)} sectors", Needs.Block),
        new("blk-get-id", From.Virtio("5.2.6: VIRTIO_BLK_T_GET_ID"), "GET_ID is answered with 20 bytes, or as unsupported.", bench =>
        {
            Session session = bench.Start();
            (byte status, ulong at) = Ask(bench, session, BlkRequests.GetId, 0, 20);
            if (status == BlkRequests.Unsupported)
                return "unsupported";
            string id = System.Text.Encoding.ASCII.GetString(BlkRequests.Data(session.Ram, at, 20)).TrimEnd('\0');
            return status == BlkRequests.Ok ? $"\"{string.Concat(id.Where(char.IsAsciiLetterOrDigit))}\"" : throw new FailedException($"status {status}");
        }, Needs.Block),
        new("blk-used-length", From.Virtio("2.7.8.2: the device MUST write at least len bytes"), "The used length of a read is what was written: data and status.", bench =>
        {
            Session session = bench.Start();
            (ulong at, uint id) = session.OfferGood();
            session.Ring.Kick.Signal();
            uint length = session.Take(id);
            bench.Requests.Verify(session.Ram, at, length);
            return length == BlkRequests.Sector + 1 ? $"{length}" : throw new FailedException($"{length}, {BlkRequests.Sector + 1} were written");
        }, Needs.Block),
        new("blk-unknown-type", From.Virtio("5.2.6"), "A request of an unknown type is answered as unsupported (2).", bench =>
            Expect(bench, 0x7777, 0, BlkRequests.Unsupported), Needs.Block),
        new("blk-sector-past-the-end", From.Virtio("5.2.6.1: a driver MUST NOT read beyond capacity"), "A read past the last sector is answered with an error.", bench =>
            Expect(bench, BlkRequests.In, Capacity(bench), BlkRequests.IoError, BlkRequests.Unsupported), Needs.Block),
        new("blk-sector-overflows", From.Virtio("5.2.6.1: a driver MUST NOT read beyond capacity"), "A read at sector 2^63 is answered with an error.", bench =>
            Expect(bench, BlkRequests.In, 1UL << 63, BlkRequests.IoError, BlkRequests.Unsupported), Needs.Block),
        new("blk-last-sector", From.Virtio("5.2.6"), "The last sector can be read.", bench =>
            Expect(bench, BlkRequests.In, Capacity(bench) - 1, BlkRequests.Ok), Needs.Block),
        new("blk-odd-length", From.Virtio("5.2.6.1: data MUST be a multiple of 512 bytes"), "A read of 500 bytes is answered with an error, or does no harm.", bench =>
            Odd(bench, session => session.Ring.Offer(Blk(bench).Prepare(session.Ram, session.NextRoom(), BlkRequests.In, 0, 500))), Needs.Block),
        new("blk-header-too-short", From.Virtio("5.2.6"), "A header of 8 bytes does no harm.", bench =>
            Odd(bench, session =>
            {
                Segment[] good = bench.Requests.Prepare(session.Ram, session.NextRoom());
                session.Ring.Offer([good[0] with { Length = 8 }, good[1], good[2]]);
            }), Needs.Block),
        new("blk-header-alone", From.Virtio("5.2.6"), "A header without a status byte does no harm.", bench =>
            Odd(bench, session => session.Ring.Offer(bench.Requests.Prepare(session.Ram, session.NextRoom())[0])), Needs.Block),
        new("blk-status-not-writable", From.Virtio("5.2.6"), "A status byte that is not writable does no harm.", bench =>
            Odd(bench, session =>
            {
                Segment[] good = bench.Requests.Prepare(session.Ram, session.NextRoom());
                session.Ring.Offer([good[0], good[2] with { IsWritable = false }]);
            }), Needs.Block),
        new("blk-status-alone", From.Virtio("5.2.6"), "A status byte alone does no harm.", bench =>
            Odd(bench, session => session.Ring.Offer(bench.Requests.Prepare(session.Ram, session.NextRoom())[2])), Needs.Block),
        new("blk-read-into-readable", From.Virtio("2.7.5.1"), "A device MUST NOT write to a device-readable buffer: a read into one changes nothing there.", bench =>
        {
            Session session = bench.Start();
            session.Serve();
            ulong at = session.NextRoom();
            Segment[] parts = Blk(bench).Prepare(session.Ram, at, BlkRequests.In, 0, BlkRequests.Sector, toDevice: true);
            byte[] before = BlkRequests.Data(session.Ram, at, BlkRequests.Sector).ToArray();
            session.Ring.Offer(parts);
            string seen = session.AfterBadChain();
            return BlkRequests.Data(session.Ram, at, BlkRequests.Sector).SequenceEqual(before) ? seen : throw new FailedException("a buffer the device may only read was written to");
        }, Needs.Block),
        new("blk-flush", From.Virtio("5.2.6: VIRTIO_BLK_T_FLUSH"), "FLUSH is answered with success where it is offered.", bench =>
        {
            bench.NeedFeature(FlushFeature);
            Session session = bench.Start(Plan.Usual with { Features = Plan.Usual.Features | FlushFeature });
            ulong at = session.NextRoom();
            Segment[] parts = Blk(bench).Prepare(session.Ram, at, 4, 0, BlkRequests.Sector);
            uint id = session.Ring.Offer([parts[0], parts[2]]);
            session.Ring.Kick.Signal();
            session.Take(id);
            byte status = BlkRequests.Status(session.Ram, at);
            return status == BlkRequests.Ok ? "status 0" : throw new FailedException($"status {status}");
        }, Needs.Block),
        new("blk-write", From.Virtio("5.2.6: VIRTIO_BLK_T_OUT"), "What is written to sector 0 is read again; its old content is put back.", bench =>
        {
            if ((bench.Offer.Features & ReadOnlyFeature) != 0)
                throw new SkippedException("the disk is read-only");
            Session session = bench.Start();
            ulong at = session.NextRoom();
            session.ServeOne(at, bench.Requests.Prepare(session.Ram, at));
            byte[] old = BlkRequests.Data(session.Ram, at, BlkRequests.Sector).ToArray();
            byte[] other = [.. old.Select(value => (byte)(value ^ 0xA5))];
            try
            {
                WriteSector0(bench, session, other);
                (_, ulong read) = Ask(bench, session, BlkRequests.In, 0, BlkRequests.Sector);
                if (!BlkRequests.Data(session.Ram, read, BlkRequests.Sector).SequenceEqual(other))
                    throw new FailedException("something else is read than was written");
                WriteSector0(bench, session, old);
            }
            catch (Exception broken) when (broken is FailedException or LinuxException)
            {
                throw new FailedException($"{broken.Message}; {PutBack(bench, old)}");
            }

            session.Serve();
            return "written, read, and put back";
        }, Needs.Block | Needs.Writing),
    ];

    private static BlkRequests Blk(Bench bench) => (BlkRequests)bench.Requests;

    private static ulong Capacity(Bench bench)
    {
        bench.Need(Protocol.Config);
        FrontEnd front = bench.Negotiate(Plan.Usual with { Protocol = Protocol.Config });
        ulong sectors = BinaryPrimitives.ReadUInt64LittleEndian(front.Ask(Request.GetConfig, 20, Payload.Config(0, 8, new byte[8])).Payload.AsSpan(12));
        return sectors is > 0 and < 1UL << 54 ? sectors : throw new FailedException($"a capacity of {sectors} sectors");
    }

    private static (byte Status, ulong At) Ask(Bench bench, Session session, uint type, ulong sector, int length)
    {
        ulong at = session.NextRoom();
        uint id = session.Ring.Offer(Blk(bench).Prepare(session.Ram, at, type, sector, length));
        session.Ring.Kick.Signal();
        session.Take(id);
        return (BlkRequests.Status(session.Ram, at), at);
    }

    private static string Expect(Bench bench, uint type, ulong sector, params ReadOnlySpan<byte> expected)
    {
        Session session = bench.Start();
        (byte status, _) = Ask(bench, session, type, sector, BlkRequests.Sector);
        if (!expected.Contains(status))
            throw new FailedException($"status {status}");
        session.Serve();
        return $"status {status}";
    }

    private static string Odd(Bench bench, Action<Session> offer)
    {
        Session session = bench.Start();
        session.Serve();
        offer(session);
        return session.AfterBadChain();
    }

    /// <summary>The session may be broken, or the daemon dead: another of each if need be, as the disk is not ours.</summary>
    /// <returns>How that went.</returns>
    private static string PutBack(Bench bench, byte[] old)
    {
        string died = "";
        try
        {
            died = bench.Restart();
            WriteSector0(bench, bench.Start(), old);
            return $"{died}sector 0 is put back over a new session";
        }
        catch (Exception failed) when (failed is FailedException or LinuxException or UnreachableException)
        {
            return $"{died}sector 0 is NOT put back: {failed.Message}";
        }
    }

    private static void WriteSector0(Bench bench, Session session, byte[] data)
    {
        ulong at = session.NextRoom();
        Segment[] parts = Blk(bench).Prepare(session.Ram, at, BlkRequests.Out, 0, BlkRequests.Sector, toDevice: true);
        data.CopyTo(BlkRequests.Data(session.Ram, at, BlkRequests.Sector));
        uint id = session.Ring.Offer(parts);
        session.Ring.Kick.Signal();
        session.Take(id);
        byte status = BlkRequests.Status(session.Ram, at);
        if (status != BlkRequests.Ok)
            throw new FailedException($"a write is answered with status {status}");
    }
}
