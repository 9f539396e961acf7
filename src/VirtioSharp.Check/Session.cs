using System.Diagnostics;
using VirtioSharp.Check.Guest;
using VirtioSharp.Check.Requests;
using VirtioSharp.Check.Wire;
using VirtioSharp.Linux;

namespace VirtioSharp.Check;

/// <summary>What a session shall be like.</summary>
internal sealed record Plan
{
    public static Plan Usual { get; } = new();

    /// <summary>Virtio features to accept where they are offered.</summary>
    public ulong Features { get; init; } = Feature.Version1 | Feature.IndirectDesc | Feature.EventIdx;

    /// <summary>Protocol features to accept where they are offered.</summary>
    public Protocol Protocol { get; init; } = Protocol.ReplyAck;

    public int Size { get; init; } = 64;

    /// <summary>Where a split ring starts.</summary>
    public ushort At { get; init; }

    /// <summary>Send everything byte by byte.</summary>
    public int PieceSize { get; init; } = int.MaxValue;
}

/// <summary>A good session with one ring: a front-end and a driver in one.</summary>
internal sealed class Session(Bench bench, FrontEnd front, GuestRegion ram, DriverRing ring, ulong features) : IDisposable
{
    private int _slot;

    public FrontEnd Front => front;

    public GuestRegion Ram => ram;

    public DriverRing Ring => ring;

    /// <summary>The ring, for cases that do not run on another format.</summary>
    public SplitRing Split => (SplitRing)ring;

    /// <summary>What was accepted, bit 30 included.</summary>
    public ulong Features => features;

    private DeviceRequests Requests => bench.Requests;

    public void Dispose() => ring.Dispose();

    // ── the ring's life ──

    public void ShareMemory() => front.Do(Request.SetMemTable, Payload.Table(1, ram.Description), ram.File);

    public void SetFeatures() => front.Do(Request.SetFeatures, Payload.U64(features));

    /// <summary>Number, base and addresses, and the two descriptors towards us.</summary>
    public void Describe()
    {
        front.Do(Request.SetVringNum, Payload.State(ring.Index, (uint)ring.Size));
        front.Do(Request.SetVringBase, Payload.State(ring.Index, ring.Base));
        front.Do(Request.SetVringAddr, ring.Address);
        front.Do(Request.SetVringErr, Payload.U64(ring.Index), ring.Error.Descriptor);
        front.Do(Request.SetVringCall, Payload.U64(ring.Index), ring.Call.Descriptor);
    }

    public void SetKick() => front.Do(Request.SetVringKick, Payload.U64(ring.Index), ring.Kick.Descriptor);

    /// <summary>There is no such message where protocol features are unknown: rings are enabled from the start.</summary>
    public void Enable(bool enabled = true)
    {
        if ((features & Feature.ProtocolFeatures) != 0)
            front.Do(Request.SetVringEnable, Payload.State(ring.Index, enabled ? 1u : 0));
    }

    public void StartRing()
    {
        Describe();
        ring.Kick.Signal(); // as QEMU does: one is pending before the descriptor is sent
        SetKick();
        Enable();
        front.Barrier();
    }

    /// <returns>Where the ring stands, as GET_VRING_BASE says.</returns>
    public uint StopRing()
    {
        byte[] reply = front.Ask(Request.GetVringBase, 8, Payload.State(ring.Index, 0)).Payload;
        return BitConverter.ToUInt32(reply, 4);
    }

    /// <summary>Stops the ring and starts it as another driver would: from the beginning.</summary>
    public void RestartRing()
    {
        StopRing();
        ring.Restart();
        ring.Call.TryDrain(out _);
        StartRing();
    }

    // ── requests ──

    /// <summary>Memory for the next request.</summary>
    public ulong NextRoom() => ring.Buffers + DeviceRequests.Room * (ulong)(_slot++ % 60);

    /// <summary>Writes a good request into guest memory.</summary>
    public Segment[] Prepare(ulong at) => Requests.Prepare(ram, at);

    /// <summary>Checks a good request's answer.</summary>
    public void Verify(ulong at, Used used) => Requests.Verify(ram, at, used.Length);

    /// <summary>Good requests, one after the other.</summary>
    public void Serve(int times = 1)
    {
        for (int i = 0; i < times; i++)
        {
            ulong at = NextRoom();
            ServeOne(at, Requests.Prepare(ram, at));
        }
    }

    /// <summary>One good request in the buffers given.</summary>
    public void ServeOne(ulong at, ReadOnlySpan<Segment> segments)
    {
        uint id = ring.Offer(segments);
        ring.Kick.Signal();
        Requests.Verify(ram, at, Take(id));
    }

    /// <summary>Makes a good request available, for <see cref="Take"/> later.</summary>
    public (ulong At, uint Id) OfferGood()
    {
        ulong at = NextRoom();
        return (at, ring.Offer(Requests.Prepare(ram, at)));
    }

    /// <summary>Waits for a chain and checks its answer.</summary>
    public void TakeGood((ulong At, uint Id) request) => Requests.Verify(ram, request.At, Take(request.Id));

    /// <summary>Waits for the next used chain.</summary>
    /// <returns>The length the device says it wrote.</returns>
    public uint Take(uint id)
    {
        if (!TryTake(bench.Patience, out Used used))
            throw new FailedException($"a request is not answered within {bench.Patience.TotalSeconds} s");
        return used.Id == id ? used.Length : throw new FailedException($"chain {id} was due, the device used chain {used.Id}");
    }

    /// <summary>Waits for the next used chain, but no longer than said.</summary>
    public bool TryTake(TimeSpan within, out Used used)
    {
        long start = Stopwatch.GetTimestamp();
        for (int look = 1; ; look++)
        {
            if (ring.TryTake(out used))
                return true;
            if (Stopwatch.GetElapsedTime(start) > within)
                return false;
            if (look % 64 == 0 && front.CloseComes(TimeSpan.Zero))
                throw new FailedException("the daemon closed the connection while a request was under way");
            // A daemon that polls may leave the call descriptor alone, so we look in between.
            if (Readiness.WaitReadable(ring.Call.Descriptor, TimeSpan.FromMilliseconds(1)))
                ring.Call.TryDrain(out _);
        }
    }

    // ── after something bad ──

    /// <summary>
    /// What has become of the ring after a chain that no driver may make. It may answer the chain, drop it, stop the ring or
    /// hang up; but a ring that is stopped and started again, or a new session, must be served.
    /// </summary>
    /// <param name="ringIsSpoilt">The ring's own indices were overwritten: only a new start can help.</param>
    public string AfterBadChain(bool ringIsSpoilt = false)
    {
        ring.Kick.Signal();
        string seen;
        try
        {
            bool answered = TryTake(bench.Pause, out Used used);
            seen = answered ? $"the chain came back with length {used.Length}" : "the chain was not answered";
            if (!ringIsSpoilt && ServesWithin(bench.Pause))
                return $"{seen}, the ring serves on";
        }
        catch (FailedException) when (front.CloseComes(TimeSpan.Zero))
        {
            return "connection closed";
        }

        if (front.CloseComes(TimeSpan.Zero))
            return "connection closed";
        if (ring.Error.TryDrain(out _))
            seen += ", the error descriptor was signalled";
        RestartRing();
        if (ServesWithin(bench.Patience))
            return $"{seen}; stopped and started again, the ring serves";
        return front.CloseComes(TimeSpan.Zero) ? "connection closed" : $"{seen}; started again, the ring stays silent in this session";
    }

    private bool ServesWithin(TimeSpan time)
    {
        ulong at = NextRoom();
        uint id = ring.Offer(Requests.Prepare(ram, at));
        ring.Kick.Signal();
        while (TryTake(time, out Used used))
        {
            if (used.Id != id)
                continue; // the bad one, late
            Requests.Verify(ram, at, used.Length);
            return true;
        }

        return false;
    }
}
