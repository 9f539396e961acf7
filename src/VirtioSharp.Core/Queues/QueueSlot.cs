using VirtioSharp.Core.Device;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>What stays of a queue when it is disabled and enabled again: its number, its surroundings and its counts.</summary>
internal sealed class QueueSlot(int index, QueueTraits traits, VirtioDevice device, IInterrupt interrupt, IWakeUp wakeUp, IDeviceObserver observer)
{
    /// <summary>QEMU's limit. Drivers send more buffers than the queue has entries (old virtio-blk), though §2.7.5.3.1 forbids it.</summary>
    private const int MinSegments = 1024;

    private QueueSnapshot _at;
    private ulong _chainsBefore;
    private (RingChain Chain, QueueSnapshot At, ulong Chains) _missing; // which chain lacks translations
    private (int Count, ulong Last) _misses;
    private ChainSegments _segments = new(MinSegments);

    public int Index { get; } = index;
    public QueueTraits Traits { get; } = traits;
    public VirtioDevice Device { get; } = device;
    public IInterrupt Interrupt { get; } = interrupt;
    public IDeviceObserver Observer { get; } = observer;

    /// <summary>The queue while it is enabled.</summary>
    public DeviceQueue? Queue { get; private set; }

    /// <summary>How it was laid out when it was enabled.</summary>
    public QueueLayout Layout { get; set; }

    /// <summary>Where the device notes what is in flight in the queue, if it does.</summary>
    public InflightRegion? Inflight { get; set; }

    /// <summary>Where its writes to the ring are noted while memory is logged, if they are.</summary>
    public GuestAddress? RingLog { get; set; }

    /// <summary>Where the device stands in the queue, or stood when it had to stop.</summary>
    public QueueSnapshot At => Queue?.Snapshot ?? _at;

    /// <summary>Whether the driver notified before DRIVER_OK.</summary>
    public bool NotifiedEarly { get; set; }

    /// <summary>Whether a chain was completed since the queue was enabled.</summary>
    public bool HasServed => Chains != _chainsBefore;

    /// <summary>Whether its next chain waits for the device's alarm.</summary>
    public bool IsResting { get; set; }

    /// <summary>Whether something was completed outside of a service.</summary>
    public bool NeedsFlush { get; set; }

    public ulong Notifications { get; set; }
    public ulong Chains { get; set; }
    public ulong FaultyChains { get; set; }
    public ulong BytesWritten { get; set; }
    public ulong Interrupts { get; set; }
    public ulong SuppressedInterrupts { get; set; }
    public ulong Postponed { get; set; }

    /// <summary><see cref="Chains"/> at the last publication.</summary>
    public ulong PublishedChains { get; set; }

    /// <summary>Room for the buffers of one chain, kept over connections: drivers come and go, and the room is pinned.</summary>
    /// <param name="queueSize">The size of the queue to be enabled.</param>
    /// <param name="notesAddresses">Whether <see cref="ChainSegments.Addresses"/> are noted.</param>
    public ChainSegments SegmentsFor(int queueSize, bool notesAddresses)
    {
        if (_segments.Capacity < queueSize)
            _segments = new ChainSegments(queueSize);
        if (notesAddresses)
            _segments.NoteAddresses();
        return _segments;
    }

    public QueueStatistics Statistics =>
        new(Notifications, Chains, FaultyChains, BytesWritten, Interrupts, SuppressedInterrupts, Postponed);

    /// <summary>Counts the translations that one chain has lacked, also when the queue was disabled and enabled in between.</summary>
    /// <param name="chain">Which.</param>
    /// <param name="at">Where the device stands: names are used again.</param>
    /// <param name="address">What it lacks. That it still does is not counted.</param>
    /// <returns>How many.</returns>
    public int CountMiss(RingChain chain, QueueSnapshot at, ulong address)
    {
        if (_missing != (chain, at, Chains))
            (_missing, _misses) = ((chain, at, Chains), default);
        if (_misses.Count == 0 || _misses.Last != address)
            _misses = (_misses.Count + 1, address);
        return _misses.Count;
    }

    /// <summary>Gives the device a queue to use.</summary>
    public void Put(DeviceQueue queue) => (Queue, IsResting, _chainsBefore) = (queue, false, Chains);

    /// <summary>Takes the queue from the device, which may finish what it holds first, and keeps where it stood.</summary>
    /// <remarks>Whatever the device throws while it finishes, the queue is stopped then.</remarks>
    /// <param name="leaveInFlight">Whether it may leave what it holds to the next.</param>
    public void Stop(bool leaveInFlight = false)
    {
        if (Queue is not { } queue)
            return;
        Queue = null;
        try
        {
            if (queue.Held > 0 && leaveInFlight)
                Device.OnSuspending(Index);
            else if (queue.Held > 0)
                Device.OnStopping(Index);
        }
        finally
        {
            queue.Flush(); // also what was completed before, and waits for the end of this turn
            queue.Stop();
            (_at, NeedsFlush) = (queue.Snapshot, false);
        }
    }

    /// <summary>Takes the queue from the device for good. As for <see cref="Stop"/>.</summary>
    /// <returns>Where it stood.</returns>
    public QueueSnapshot Remove(bool leaveInFlight = false)
    {
        try
        {
            Stop(leaveInFlight); // first: what the device finishes moves where it stands
            return _at;
        }
        finally
        {
            _at = default;
        }
    }

    /// <summary>What was completed outside of a service is to be shown to the driver, at the end of this turn.</summary>
    public void FlushSoon()
    {
        if (NeedsFlush)
            return;
        NeedsFlush = true;
        wakeUp.FlushSoon();
    }

    /// <summary>Back to the beginning; the counts stay. As for <see cref="Stop"/>.</summary>
    public void Reset()
    {
        NotifiedEarly = false;
        _misses = default;
        Remove();
    }
}
