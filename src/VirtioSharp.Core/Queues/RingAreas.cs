using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues;

/// <summary>The three areas of a queue, checked: size, alignment, memory, no overlap.</summary>
internal readonly unsafe struct RingAreas
{
    private RingAreas(RingArea descriptors, int alignment, RingArea driver, int driverAlignment, RingArea device, int deviceAlignment, ref GuestMemory memory)
    {
        Descriptors = descriptors.Translate(alignment, ref memory);
        Driver = driver.Translate(driverAlignment, ref memory);
        Device = device.Translate(deviceAlignment, ref memory);
        descriptors.MustNotOverlap(driver);
        descriptors.MustNotOverlap(device);
        driver.MustNotOverlap(device);
    }

    public byte* Descriptors { get; }
    public byte* Driver { get; }
    public byte* Device { get; }

    /// <exception cref="QueueException">Names the field that cannot be.</exception>
    public static RingAreas OfSplit(in QueueLayout layout, ref GuestMemory memory)
    {
        int size = layout.Size;
        if (!SplitLayout.IsValidSize(size))
            throw new QueueException($"queue size = {size} is not a power of two in 1…{SplitLayout.MaxQueueSize}");
        return new(
            new("descriptor area", layout.DescriptorArea, SplitLayout.DescriptorTableBytes(size)), SplitLayout.DescriptorTableAlignment,
            new("driver area", layout.DriverArea, SplitLayout.DriverAreaBytes(size)), SplitLayout.DriverAreaAlignment,
            new("device area", layout.DeviceArea, SplitLayout.DeviceAreaBytes(size)), SplitLayout.DeviceAreaAlignment,
            ref memory);
    }

    /// <exception cref="QueueException">Names the field that cannot be.</exception>
    public static RingAreas OfPacked(in QueueLayout layout, ref GuestMemory memory)
    {
        if (!PackedLayout.IsValidSize(layout.Size))
            throw new QueueException($"queue size = {layout.Size} is not in 1…{PackedLayout.MaxQueueSize}");
        return new(
            new("descriptor area", layout.DescriptorArea, PackedLayout.DescriptorRingBytes(layout.Size)), PackedLayout.DescriptorRingAlignment,
            new("driver area", layout.DriverArea, PackedLayout.EventBytes), PackedLayout.EventBytes,
            new("device area", layout.DeviceArea, PackedLayout.EventBytes), PackedLayout.EventBytes,
            ref memory);
    }
}
