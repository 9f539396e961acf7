using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues;

/// <summary>The three areas of a queue, checked: size, alignment, memory, no overlap.</summary>
internal readonly unsafe struct RingAreas
{
    private RingAreas(in Claim claim, int alignment, int driverAlignment, int deviceAlignment, MemoryAccess access, MemoryAccess deviceAccess, ref GuestMemory memory)
    {
        Descriptors = claim.Descriptors.Translate(alignment, access, ref memory);
        Driver = claim.Driver.Translate(driverAlignment, MemoryAccess.Read, ref memory);
        Device = claim.Device.Translate(deviceAlignment, deviceAccess, ref memory);
        claim.Descriptors.MustNotOverlap(claim.Driver);
        claim.Descriptors.MustNotOverlap(claim.Device);
        claim.Driver.MustNotOverlap(claim.Device);
    }

    public byte* Descriptors { get; }
    public byte* Driver { get; }
    public byte* Device { get; }

    /// <exception cref="QueueException">Names the field that cannot be.</exception>
    public static RingAreas OfSplit(in QueueLayout layout, ref GuestMemory memory)
    {
        if (!SplitLayout.IsValidSize(layout.Size))
            throw new QueueException($"queue size = {layout.Size} is not a power of two in 1…{SplitLayout.MaxQueueSize}");
        return new(
            Claim.OfSplit(layout), SplitLayout.DescriptorTableAlignment, SplitLayout.DriverAreaAlignment, SplitLayout.DeviceAreaAlignment,
            MemoryAccess.Read, MemoryAccess.ReadWrite, ref memory); // the used index is read at the start
    }

    /// <exception cref="QueueException">Names the field that cannot be.</exception>
    public static RingAreas OfPacked(in QueueLayout layout, ref GuestMemory memory)
    {
        if (!PackedLayout.IsValidSize(layout.Size))
            throw new QueueException($"queue size = {layout.Size} is not in 1…{PackedLayout.MaxQueueSize}");
        return new(
            Claim.OfPacked(layout), PackedLayout.DescriptorRingAlignment, PackedLayout.EventBytes, PackedLayout.EventBytes,
            MemoryAccess.ReadWrite, MemoryAccess.Write, ref memory);
    }

    /// <summary>Whether any area of a queue that could be enabled has a byte among some addresses.</summary>
    public static bool Overlap(in QueueLayout layout, bool isPacked, GuestAddress start, ulong bytes)
    {
        Claim claim = isPacked ? Claim.OfPacked(layout) : Claim.OfSplit(layout);
        return claim.Descriptors.Overlaps(start, bytes) || claim.Driver.Overlaps(start, bytes) || claim.Device.Overlaps(start, bytes);
    }

    /// <summary>Where the areas are said to be.</summary>
    private readonly record struct Claim(RingArea Descriptors, RingArea Driver, RingArea Device)
    {
        public static Claim OfSplit(in QueueLayout layout) => new(
            new("descriptor area", layout.DescriptorArea, SplitLayout.DescriptorTableBytes(layout.Size)),
            new("driver area", layout.DriverArea, SplitLayout.DriverAreaBytes(layout.Size)),
            new("device area", layout.DeviceArea, SplitLayout.DeviceAreaBytes(layout.Size)));

        public static Claim OfPacked(in QueueLayout layout) => new(
            new("descriptor area", layout.DescriptorArea, PackedLayout.DescriptorRingBytes(layout.Size)),
            new("driver area", layout.DriverArea, PackedLayout.EventBytes),
            new("device area", layout.DeviceArea, PackedLayout.EventBytes));
    }
}
