using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues.Packed;

namespace VirtioSharp.Core.Queues;

/// <summary>A packed ring that notes in a shared region what is in flight, and first serves what an earlier life left over.</summary>
internal struct TrackedPackedRing : IDeviceRing<TrackedPackedRing>
{
    private readonly PackedInflight _inflight;
    private PackedDeviceRing _ring;
    private bool _wasOwed;

    private TrackedPackedRing(PackedDeviceRing ring, PackedInflight inflight)
    {
        (_ring, _inflight) = (ring, inflight);
        _ring.TakeOver(inflight.At);
    }

    public static TrackedPackedRing Attach(in QueueLayout layout, ref GuestMemory memory, QueueOptions options, QueueSnapshot at)
    {
        PackedDeviceRing ring = PackedDeviceRing.Attach(layout, ref memory, options, at);
        return new TrackedPackedRing(ring, new PackedInflight(options.Inflight!, layout.Size, ring));
    }

    public readonly QueueSnapshot Snapshot => _ring.Snapshot;

    public static UsedEntries Entries => PackedDeviceRing.Entries;

    public readonly int UsedPosition => _ring.UsedPosition;

    public readonly int Owed => _inflight.Owed;

    public readonly bool HasAvailable() => _inflight.Owed > 0 || _ring.HasAvailable();

    public bool TryPop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain)
    {
        _wasOwed = _inflight.Owed > 0;
        if (_wasOwed)
        {
            chain = _inflight.TakeOwed(_ring, ref memory, ref segments);
            return true;
        }

        int from = _ring.AvailableAt;
        if (!_ring.TryPop(ref memory, ref segments, out chain))
            return false;
        _inflight.Take(_ring, from, chain);
        return true;
    }

    public void UndoPop(RingChain chain)
    {
        if (_wasOwed)
        {
            _inflight.ReturnOwed();
            return;
        }

        _inflight.Return(chain);
        _ring.UndoPop(chain);
    }

    public void Push(RingChain chain, uint written)
    {
        _ring.Push(chain, written);
        _inflight.Use(chain);
    }

    public bool Publish()
    {
        _inflight.Prepare();
        bool notify = _ring.Publish();
        _inflight.Commit();
        return notify;
    }

    public readonly void SuppressNotifications() => _ring.SuppressNotifications();

    public bool RearmNotifications() => _ring.RearmNotifications() || _inflight.Owed > 0;
}
