using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>What came of looking at a queue.</summary>
internal enum ServiceOutcome
{
    /// <summary>Everything available was served, and the driver will notify of what comes next.</summary>
    Idle,
    /// <summary>More is available, but others should have a turn first: look again soon.</summary>
    More,
    /// <summary>It cannot be served now: look again when the device wakes, or the IOTLB knows what was missing.</summary>
    Postponed,
}

/// <summary>The device's end of an enabled queue, whatever its ring format.</summary>
internal abstract class DeviceQueue
{
    /// <summary>Where the device stands in the ring.</summary>
    public abstract QueueSnapshot Snapshot { get; }

    /// <summary>Whether the device has lost the queue: what it still holds is abandoned.</summary>
    public bool IsStopped { get; private set; }

    /// <summary>Chains that an earlier life of the device took and that are not served yet.</summary>
    public abstract int Owed { get; }

    /// <summary>Chains that the device holds.</summary>
    public int Held { get; private protected set; }

    /// <summary>Serves up to <paramref name="budget"/> chains, with one publication and at most one interrupt per batch.</summary>
    /// <param name="budget">The most chains to serve now.</param>
    /// <param name="rearm">Whether to ask for notifications when all is served; if not, <see cref="Arm"/> does later.</param>
    /// <exception cref="QueueException">The ring is broken.</exception>
    /// <exception cref="DeviceException">The device is.</exception>
    public abstract ServiceOutcome Service(int budget, bool rearm);

    /// <summary>Whether a chain waits, without a change to the ring.</summary>
    public abstract bool HasAvailable();

    /// <summary>Asks the driver to notify again, after a service that did not.</summary>
    /// <returns>True when a chain became available before the driver could know: serve it, no notification will come.</returns>
    public abstract bool Arm();

    /// <summary>Shows the driver what was completed outside of a service.</summary>
    public abstract void Flush();

    /// <summary>Takes the queue from its device: nothing of it is touched after this.</summary>
    public virtual void Stop() => IsStopped = true;

    /// <summary>Keeps the chain that the device is looking at.</summary>
    public abstract PendingChain Hold(ref DeviceChain chain);

    /// <summary>Completes a chain that was held.</summary>
    public abstract void Complete(PendingChain pending);

    /// <summary>Whether the device holds a chain with a byte among some I/O addresses.</summary>
    public abstract bool HoldsAny(GuestAddress start, ulong bytes);
}

/// <summary>The queue's loop, compiled once for each ring format (<typeparamref name="TRing"/> is a struct).</summary>
internal sealed unsafe class DeviceQueue<TRing> : DeviceQueue
    where TRing : struct, IDeviceRing<TRing>
{
    /// <summary>Chains per publication: enough to share its cost, few enough that the first is not kept waiting.</summary>
    private const int BatchSize = 64;

    private readonly QueueSlot _slot;
    private readonly DirtyLog? _log; // of a ring that is logged
    private readonly PendingChain?[] _pending;          // by the chain's name, made at first need
    private readonly IDisposable[] _joined;             // mappings of a ring that lies apart
    private readonly Queue<PendingChain>? _inOrder;     // with IN_ORDER: what may not be shown before what precedes it
    private GuestMemory _memory;
#pragma warning disable IDE0044 // TRing is a mutable struct: readonly would call it on copies
    private TRing _ring;
#pragma warning restore IDE0044
    private ChainSegments _segments;
    private RingChain _chain;
    private PendingChain? _kept; // _chain, when the device has held it
    private bool _isServing;

    public DeviceQueue(QueueSlot slot, in QueueLayout layout, GuestMemory memory, QueueOptions options, QueueSnapshot at)
    {
        (_slot, _log) = (slot, options.Log);
        _memory = memory;
        try
        {
            _ring = TRing.Attach(layout, ref _memory, options, at);
            _joined = _memory.Iotlb?.TakeJoined() ?? [];
        }
        catch
        {
            // One of its areas is joined, perhaps, and another not there yet.
            Unmap(_memory.Iotlb?.TakeJoined() ?? []);
            throw;
        }

        _segments = slot.SegmentsFor(layout.Size, notesAddresses: _memory.Iotlb is not null);
        _pending = new PendingChain?[layout.Size];
        _inOrder = options.InOrder ? new(layout.Size) : null;
    }

    public override QueueSnapshot Snapshot => _ring.Snapshot;

    public override int Owed => _ring.Owed;

    public override void Stop()
    {
        base.Stop();
        Unmap(_joined);
    }

    public override bool HasAvailable() => _ring.HasAvailable();

    public override bool Arm() => _ring.RearmNotifications();

    public override ServiceOutcome Service(int budget, bool rearm)
    {
        while (budget > 0)
        {
            _ring.SuppressNotifications();
            int batch = Math.Min(budget, BatchSize);
            int left = batch;
            ServiceOutcome outcome;
            _isServing = true;
            try
            {
                outcome = ServeBatch(ref left);
            }
            finally
            {
                // Also when the ring broke: what was served before it stays served.
                _isServing = false;
                Flush();
            }

            budget -= batch - left;
            if (outcome == ServiceOutcome.Postponed)
                return outcome;
            if (outcome == ServiceOutcome.Idle && !(rearm && _ring.RearmNotifications()))
                return outcome;
        }

        return ServiceOutcome.More;
    }

    private ServiceOutcome ServeBatch(ref int left)
    {
        while (true)
        {
            try
            {
                return ServeChains(ref left);
            }
            catch (ChainException rejected)
            {
                // Outside the loop, so that the loop has no handler to set up for the chains that are well.
                left--;
                Reject(new ChainFault(ChainFaultKind.Rejected, _chain.Id, rejected.Message));
            }
        }
    }

    private ServiceOutcome ServeChains(ref int left)
    {
        QueueSlot slot = _slot;
        VirtioDevice device = slot.Device;
        for (; left > 0; left--)
        {
            if (!_ring.TryPop(ref _memory, ref _segments, out _chain))
                return ServiceOutcome.Idle;
            if (Held != 0)
                MustBeNew(_chain);
            _kept = null;
            if (_segments.Fault.Kind != ChainFaultKind.None)
            {
                if (_segments.Fault.Kind is ChainFaultKind.UntranslatedRead or ChainFaultKind.UntranslatedWrite && MayWait(_memory.Iotlb!))
                {
                    _ring.UndoPop(_chain);
                    slot.Postponed++;
                    return ServiceOutcome.Postponed;
                }

                CompleteFaulty(_segments.Fault);
                continue;
            }

            var chain = new DeviceChain(this, _segments.Items, _segments.ReadableEnd, _segments.End);
            device.OnChain(slot.Index, ref chain);
            switch (chain.Fate)
            {
                case ChainFate.Completed:
                    if (TRing.IsLogged)
                        MarkWritten(Writable, chain.Written);
                    Finish(_chain, chain.Written);
                    slot.Chains++;
                    slot.BytesWritten += chain.Written;
                    break;
                case ChainFate.Postponed:
                    _ring.UndoPop(_chain);
                    slot.Postponed++;
                    return ServiceOutcome.Postponed;
                default:
                    break; // held
            }
        }

        return ServiceOutcome.More;
    }

    public override PendingChain Hold(ref DeviceChain chain)
    {
        PendingChain pending = _kept = PendingFor(_chain);
        if (TRing.IsLogged)
            pending.KeepWritable(Writable);
        if (_memory.Iotlb is not null)
            pending.KeepAddresses(_segments);
        chain.CopyRest(pending, _chain);
        _inOrder?.Enqueue(pending);
        return pending;
    }

    public override void Complete(PendingChain pending)
    {
        uint written = pending.Answer ?? 0;
        if (TRing.IsLogged)
            MarkWritten(pending.Writable, written);
        _slot.Chains++;
        _slot.BytesWritten += written;
        if (_inOrder is null)
            Give(pending);
        else
            while (_inOrder.TryPeek(out PendingChain? oldest) && oldest.Answer is not null)
                Give(_inOrder.Dequeue());
        if (!_isServing)
            _slot.FlushSoon();
    }

    public override void Flush()
    {
        bool any = _slot.Chains != _slot.PublishedChains;
        _slot.PublishedChains = _slot.Chains;
        if (_ring.Publish())
        {
            _slot.Interrupts++;
            _slot.Interrupt.SignalUsed(_slot.Index);
        }
        else if (any)
        {
            _slot.SuppressedInterrupts++;
        }
    }

    public override bool HoldsAny(GuestAddress start, ulong bytes)
    {
        if (Held == 0)
            return false;
        foreach (PendingChain? pending in _pending)
            if (pending is { IsPending: true } && pending.IsAmong(start, bytes))
                return true;
        return false;
    }

    /// <summary>Asks for what the chain at hand lacks.</summary>
    /// <returns>Whether it waits for that. If not, its fault says why.</returns>
    private bool MayWait(Iotlb iotlb)
    {
        if (_slot.CountMiss(_chain, _ring.Snapshot, _segments.Fault.Value) <= iotlb.MostMisses)
            return iotlb.Ask(_slot.Index, _segments.Fault);
        return _segments.Fail(ChainFaultKind.TooManyTranslations, (ulong)iotlb.MostMisses);
    }

    /// <summary>The device threw the chain back, perhaps after it had kept it, or even completed it.</summary>
    private void Reject(ChainFault fault)
    {
        if (_kept is null)
        {
            CompleteFaulty(fault);
            return;
        }

        if (_kept.IsPending)
            _kept.Complete(0);
        Report(fault);
    }

    private void CompleteFaulty(ChainFault fault)
    {
        Finish(_chain, 0);
        _slot.Chains++;
        Report(fault);
    }

    private void Report(ChainFault fault)
    {
        _slot.FaultyChains++;
        _slot.Observer.ChainFaulted(_slot.Index, fault);
    }

    /// <summary>Puts a chain into the ring, or behind those that must come first.</summary>
    private void Finish(RingChain chain, uint written)
    {
        if (_inOrder is null or { Count: 0 })
        {
            _ring.Push(chain, written);
            return;
        }

        PendingChain place = PendingFor(chain);
        place.HoldAnswered(chain, written);
        _inOrder.Enqueue(place);
    }

    private void Give(PendingChain pending)
    {
        _ring.Push(pending.Chain, pending.Answer ?? 0);
        pending.Release();
        Held--;
    }

    /// <summary>Notes the pages of the first <paramref name="bytes"/> of some buffers.</summary>
    /// <remarks>So many were written, so noting them takes no longer than that did, whatever the driver described.</remarks>
    private void MarkWritten(ReadOnlySpan<Segment> buffers, uint bytes)
    {
        foreach (Segment buffer in buffers)
        {
            uint piece = Math.Min(bytes, buffer.Length);
            _log!.Mark(buffer.Host, piece);
            bytes -= piece;
        }
    }

    private ReadOnlySpan<Segment> Writable => new(_segments.ReadableEnd, (int)(_segments.End - _segments.ReadableEnd));

    private PendingChain PendingFor(RingChain chain)
    {
        Held++;
        return _pending[chain.Id] ??= new PendingChain(this);
    }

    private static void Unmap(IDisposable[] joined)
    {
        foreach (IDisposable mapping in joined)
            mapping.Dispose();
    }

    private void MustBeNew(RingChain chain)
    {
        if (_pending[chain.Id] is { IsTaken: true })
            throw new QueueException($"chain {chain.Id} was made available again while it is in flight");
    }
}
