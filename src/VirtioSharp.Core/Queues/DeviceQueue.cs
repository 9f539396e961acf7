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
    /// <summary>The device cannot serve now: look again when it wakes.</summary>
    Postponed,
}

/// <summary>The device's end of an enabled queue, whatever its ring format.</summary>
internal abstract class DeviceQueue
{
    /// <summary>Where the device stands in the ring.</summary>
    public abstract QueueSnapshot Snapshot { get; }

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
}

/// <summary>The queue's loop, compiled once for each ring format (<typeparamref name="TRing"/> is a struct).</summary>
internal sealed class DeviceQueue<TRing> : DeviceQueue
    where TRing : struct, IDeviceRing<TRing>
{
    /// <summary>Chains per publication: enough to share its cost, few enough that the first is not kept waiting.</summary>
    private const int BatchSize = 64;

    /// <summary>QEMU's limit. Drivers send more buffers than the queue has entries (old virtio-blk), though §2.7.5.3.1 forbids it.</summary>
    private const int MinSegments = 1024;

    private readonly QueueSlot _slot;
    private GuestMemory _memory;
#pragma warning disable IDE0044 // TRing is a mutable struct: readonly would call it on copies
    private TRing _ring;
#pragma warning restore IDE0044
    private ChainSegments _segments;
    private ushort _head;

    public DeviceQueue(QueueSlot slot, in QueueLayout layout, GuestMemory memory, QueueOptions options, QueueSnapshot at)
    {
        _slot = slot;
        _memory = memory;
        _ring = TRing.Attach(layout, ref _memory, options, at);
        _segments = new ChainSegments(Math.Max(layout.Size, MinSegments));
    }

    public override QueueSnapshot Snapshot => _ring.Snapshot;

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
            try
            {
                outcome = ServeBatch(ref left);
            }
            finally
            {
                // Also when the ring broke: what was served before it stays served.
                PublishBatch();
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
                CompleteFaulty(new ChainFault(ChainFaultKind.Rejected, _head, rejected.Message));
            }
        }
    }

    private ServiceOutcome ServeChains(ref int left)
    {
        VirtioDevice device = _slot.Device;
        ulong chains = 0, bytes = 0;
        try
        {
            for (; left > 0; left--)
            {
                if (!_ring.TryPop(ref _memory, ref _segments, out _head))
                    return ServiceOutcome.Idle;
                if (_segments.Fault.Kind != ChainFaultKind.None)
                {
                    CompleteFaulty(_segments.Fault);
                    continue;
                }

                var chain = new DeviceChain(_segments);
                device.OnChain(_slot.Index, ref chain);
                if (chain.IsPostponed)
                {
                    _ring.UndoPop();
                    _slot.Postponed++;
                    return ServiceOutcome.Postponed;
                }

                _ring.Push(_head, chain.Written);
                chains++;
                bytes += chain.Written;
            }

            return ServiceOutcome.More;
        }
        finally
        {
            _slot.Chains += chains;
            _slot.BytesWritten += bytes;
        }
    }

    private void CompleteFaulty(ChainFault fault)
    {
        _ring.Push(_head, 0);
        _slot.Chains++;
        _slot.FaultyChains++;
        _slot.Observer.ChainFaulted(_slot.Index, fault);
    }

    private void PublishBatch()
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
}
