using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Queues;

/// <summary>Chooses the loop for a queue: by its ring's format, and by what is noted of it. What is not asked for costs nothing.</summary>
internal static class RingFormat
{
    /// <summary>Takes hold of the ring that <paramref name="layout"/> describes.</summary>
    /// <exception cref="QueueException">The ring cannot be: the message names the field.</exception>
    /// <exception cref="UntranslatedException">It cannot be yet.</exception>
    public static DeviceQueue Attach(QueueSlot slot, in QueueLayout layout, GuestMemory memory, DirtyLog? log, FeatureSet features, QueueSnapshot at)
    {
        QueueOptions options = QueueOptions.From(features) with { Inflight = slot.Inflight, Log = log, RingLog = slot.RingLog };
        if (log is not null && memory.Iotlb is null && slot.RingLog is { } start && (start.Value >= log.End || log.End - start.Value < LoggedBytes(layout.Size, features)))
            throw new QueueException($"log address = {start} of the ring is beyond the log, which ends at 0x{log.End:x}");
        return (features.Has(Features.RingPacked), slot.Inflight is not null) switch
        {
            (false, false) => Attach<SplitDeviceRing>(slot, layout, memory, options, at),
            (true, false) => Attach<PackedDeviceRing>(slot, layout, memory, options, at),
            (false, true) => Attach<TrackedSplitRing>(slot, layout, memory, options, at),
            (true, true) => Attach<TrackedPackedRing>(slot, layout, memory, options, at),
        };
    }

    private static DeviceQueue Attach<TRing>(QueueSlot slot, in QueueLayout layout, GuestMemory memory, QueueOptions options, QueueSnapshot at)
        where TRing : struct, IDeviceRing<TRing> => options.Log is null
            ? new DeviceQueue<TRing>(slot, layout, memory, options, at)
            : new DeviceQueue<LoggedRing<TRing>>(slot, layout, memory, options, at);

    private static ulong LoggedBytes(int size, FeatureSet features) => (ulong)(features.Has(Features.RingPacked)
        ? Spec.Packed.PackedLayout.EventBytes
        : Spec.Split.SplitLayout.DeviceAreaBytes(size));
}
