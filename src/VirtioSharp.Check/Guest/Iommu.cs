using System.Diagnostics;
using System.Runtime.InteropServices;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check.Guest;

/// <summary>What a daemon asks of an IOMMU.</summary>
internal readonly record struct Miss(ulong Address, int Access);

/// <summary>A VMM's IOMMU in front of one region: a session's driver uses its guest addresses as I/O addresses, and the daemon knows the region by others.</summary>
internal sealed class Iommu : IDisposable
{
    public const ulong PageBytes = 4096;
    public const int Read = 1, Write = 2, ReadWrite = 3;
    public const int MissType = 1, Update = 2, Invalidation = 3, AccessFail = 4;

    private const ulong Shift = 0x100_0000_0000;

    private readonly UnixSocket _requests;
    private readonly Session _session;
    private readonly ReceivedFds _fds = new(1);
    private readonly byte[] _message = new byte[12 + 32];
    private int _have;
    private bool _wantsAnswer;

    private Iommu(Session session)
    {
        _session = session;
        (_requests, UnixSocket theirs) = UnixSocket.Pair();
        using (theirs)
            session.Front.Do(Request.SetBackEndReqFd, [], theirs.Descriptor);
    }

    /// <summary>Misses that were heard.</summary>
    public int Misses { get; private set; }

    /// <summary>A session whose ring runs as soon as the daemon has asked for it.</summary>
    public static (Session Session, Iommu Iommu) Start(Bench bench, ulong features = 0)
    {
        bench.NeedFeature(Feature.AccessPlatform);
        bench.Need(Protocol.ReplyAck | Protocol.BackEndReq);
        Session session = bench.Prepare(Plan.Usual with
        {
            Features = Plan.Usual.Features | Feature.AccessPlatform | features,
            Protocol = Protocol.ReplyAck | Protocol.BackEndReq,
        });
        session.Ram.BehindIommu = Shift;
        Iommu iommu = bench.Track(new Iommu(session));
        session.SetFeatures();
        session.ShareMemory();
        session.StartRing();
        return (session, iommu);
    }

    /// <summary>The page that an address is in.</summary>
    public static ulong PageOf(ulong address) => address & ~(PageBytes - 1);

    /// <summary>Gives a part of the region, asked or not.</summary>
    public void Map(ulong address, ulong size, int permission = ReadWrite) => Tell(Payload.Iotlb(address, size, _session.Ram.ToUser(address), permission, Update));

    /// <summary>Takes translations back.</summary>
    public void Invalidate(ulong address, ulong size) => Tell(Payload.Iotlb(address, size, 0, 0, Invalidation));

    /// <summary>Waits for a miss.</summary>
    public bool TryNext(TimeSpan within, out Miss miss)
    {
        long start = Stopwatch.GetTimestamp();
        while (true)
        {
            miss = default;
            TimeSpan left = within - Stopwatch.GetElapsedTime(start);
            if (!Readiness.WaitReadable(_requests.Descriptor, left > TimeSpan.Zero ? left : TimeSpan.Zero))
                return false;
            int received = _requests.ReceiveWithFds(_message.AsSpan(_have), _fds);
            if (received == 0)
                return false;
            _have += Math.Max(received, 0);
            if (_have < _message.Length || !TakeMessage(out miss))
                continue;
            Misses++;
            return true;
        }
    }

    /// <summary>Gives the page of a miss, and says that it did.</summary>
    public void Answer(Miss miss)
    {
        Map(PageOf(miss.Address), PageBytes);
        AnswerMiss(0);
    }

    /// <summary>Answers on the daemon's own socket, whether or not it wants to hear.</summary>
    public void AnswerMiss(ulong answer)
    {
        if (_wantsAnswer)
            Send([.. Payload.Header(1, FrontEnd.ReplyFlags, 8), .. Payload.U64(answer)]);
    }

    public void Send(ReadOnlySpan<byte> bytes) => _requests.SendAllWithFds(bytes, [], TimeSpan.FromSeconds(1));

    /// <summary>Whether the next request is answered, and rightly, while every miss is.</summary>
    public bool TryServe(TimeSpan within, ulong? at = null)
    {
        ulong room = at ?? _session.NextRoom();
        uint id = _session.Ring.Offer(_session.Prepare(room));
        _session.Ring.Kick.Signal();
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < within)
        {
            if (_session.TryTake(TimeSpan.FromMilliseconds(2), out Used used))
            {
                if (used.Id != id)
                    continue; // an earlier one, late
                _session.Verify(room, used);
                return true;
            }

            if (TryNext(TimeSpan.Zero, out Miss miss))
                Answer(miss);
        }

        return false;
    }

    public void Dispose()
    {
        _fds.Dispose();
        _requests.Dispose();
    }

    private bool TakeMessage(out Miss miss)
    {
        _have = 0;
        ReadOnlySpan<uint> header = MemoryMarshal.Cast<byte, uint>(_message.AsSpan(0, 12));
        if (header[0] != 1 || (header[1] & ~FrontEnd.NeedReply) != FrontEnd.Version || header[2] != 32)
            throw new FailedException($"on its own socket the daemon sends request {header[0]} with flags 0x{header[1]:x} and {header[2]} bytes: an IOTLB message has 32");
        _wantsAnswer = (header[1] & FrontEnd.NeedReply) != 0;
        miss = new Miss(BitConverter.ToUInt64(_message, 12), _message[12 + 24]);
        int type = _message[12 + 25];
        return type switch
        {
            MissType => miss.Access is Read or Write or ReadWrite ? true : throw new FailedException($"a miss has the permission {miss.Access}"),
            AccessFail => false,
            _ => throw new FailedException($"the daemon sends an IOTLB message of type {type}"),
        };
    }

    private void Tell(byte[] payload)
    {
        ulong answer = BitConverter.ToUInt64(_session.Front.Ask(Request.IotlbMsg, 8, payload).Payload);
        if (answer != 0)
            throw new FailedException($"IOTLB_MSG is answered with {answer}");
    }
}
