using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Device;

// What a host is told of memory: what the device sees of it, and what is noted there for others.
public sealed partial class DeviceHost
{
    /// <summary>Replaces what the device sees of memory. Enabled queues go on where they stand, in the new map.</summary>
    /// <remarks>
    /// When it returns, nothing of the old map is in use any more: the caller may unmap. A queue whose ring is not in
    /// the new map stops, with NEEDS_RESET.
    /// </remarks>
    /// <param name="map">What the device sees.</param>
    /// <param name="log">Where it notes what it writes, if it is to.</param>
    /// <param name="iotlb">What it sees instead of the map, behind an IOMMU (VIRTIO_F_ACCESS_PLATFORM).</param>
    public void SetMemory(MemoryMap map, DirtyLog? log = null, Iotlb? iotlb = null)
    {
        (_memory, _log, _iotlb) = (map, log, iotlb);
        foreach (QueueSlot slot in _slots)
        {
            if (slot.Queue is null)
                continue;
            Guard(slot.Index, () =>
            {
                slot.Stop();
                slot.Put(Attach(slot, slot.Layout, slot.At));
            });
        }
    }

    /// <summary>Whether an enabled queue lies, or its device holds a chain that lies, in some memory that the IOTLB knows. By I/O addresses:
    /// another translation of the same memory is another's.</summary>
    /// <remarks>Such a queue is to be disabled before that memory is forgotten.</remarks>
    public bool IsUsing(int index, in MemoryRegion memory)
    {
        QueueSlot slot = Slot(index);
        return slot.Queue is { } queue
            && (LiesIn(slot.Layout, memory) || queue.HoldsAny(memory.Start, memory.Length));
    }

    /// <summary>Whether any area of a queue, enabled or to be enabled, lies in some memory that the IOTLB knows.</summary>
    public bool LiesIn(in QueueLayout layout, in MemoryRegion memory) =>
        RingAreas.Overlap(layout, DriverFeatures.Has(Spec.Features.RingPacked), memory.Start, memory.Length);

    /// <summary>Says what is noted of a queue from the next time that it is enabled.</summary>
    /// <param name="index">Which.</param>
    /// <param name="inflight">Where it notes what is in flight, and goes on with what is noted. Mapped until the queue is disabled.</param>
    /// <param name="ringLog">Where its writes to the ring go in the log, as if the device area started at this guest address.</param>
    public void Track(int index, InflightRegion? inflight, GuestAddress? ringLog = null)
    {
        QueueSlot slot = Slot(index);
        (slot.Inflight, slot.RingLog) = (inflight, ringLog);
    }
}
