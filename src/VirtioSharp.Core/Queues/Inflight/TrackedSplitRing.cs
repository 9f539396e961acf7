using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues.Split;

namespace VirtioSharp.Core.Queues;

/// <summary>A split ring that notes in a shared region what is in flight, and first serves what an earlier life left over.</summary>
internal struct TrackedSplitRing : IDeviceRing<TrackedSplitRing>
{
    private readonly SplitInflight _inflight;
    private SplitDeviceRing _ring;
    private bool _wasOwed;

    private TrackedSplitRing(SplitDeviceRing ring, SplitInflight inflight)
    {
        (_ring, _inflight) = (ring, inflight);

        // Whatever was taken is used or in flight, so this is where the ring stood, also when nobody lived to say so.
        if (inflight.Owed > 0)
            _ring.GoTo((ushort)(ring.UsedAt + inflight.Owed));
    }

    public static TrackedSplitRing Attach(in QueueLayout layout, ref GuestMemory memory, QueueOptions options, QueueSnapshot at)
    {
        SplitDeviceRing ring = SplitDeviceRing.Attach(layout, ref memory, options, at);
        return new TrackedSplitRing(ring, new SplitInflight(options.Inflight!, layout.Size, ring.UsedAt));
    }

    public readonly QueueSnapshot Snapshot => _ring.Snapshot;

    public static UsedEntries Entries => SplitDeviceRing.Entries;

    public readonly int UsedPosition => _ring.UsedPosition;

    public readonly int Owed => _inflight.Owed;

    public bool HasAvailable() => _inflight.Owed > 0 || _ring.HasAvailable();

    public bool TryPop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        _wasOwed = _inflight.Owed > 0;
        if (_wasOwed)
        {
            chain = new RingChain(_inflight.TakeOwed(), 0);
            _ring.Read(chain.Id, ref memory, ref segments);
            return true;
        }

        if (!_ring.TryPop(ref memory, ref segments, out chain))
            return false;
        _inflight.Take(chain.Id);
        return true;
    }

    public void UndoPop(RingChain chain)
    {
        if (_wasOwed)
        {
            _inflight.ReturnOwed();
            return;
        }

        _inflight.Return(chain.Id);
        _ring.UndoPop(chain);
    }

    public void Push(RingChain chain, uint written)
    {
        _ring.Push(chain, written);
        _inflight.Use(chain.Id);
    }

    public bool Publish()
    {
        _inflight.Prepare();
        bool notify = _ring.Publish();
        _inflight.Commit(_ring.UsedAt);
        return notify;
    }

    public readonly void SuppressNotifications() => _ring.SuppressNotifications();

    public bool RearmNotifications() => _ring.RearmNotifications() || _inflight.Owed > 0;
}
