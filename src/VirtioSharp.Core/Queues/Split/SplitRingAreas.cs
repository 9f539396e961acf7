using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Queues.Split;

/// <summary>The three areas of a split queue, checked: size, alignment, memory, no overlap. The same check for either end.</summary>
internal readonly unsafe struct SplitRingAreas
{
    private SplitRingAreas(int size, byte* descriptors, byte* driver, byte* device)
    {
        Size = size;
        Descriptors = descriptors;
        Driver = driver;
        Device = device;
    }

    public int Size { get; }
    public byte* Descriptors { get; }
    public byte* Driver { get; }
    public byte* Device { get; }

    /// <exception cref="QueueException">Names the field that cannot be.</exception>
    public static SplitRingAreas Locate(in QueueLayout layout, ref GuestMemory memory)
    {
        if (!SplitLayout.IsValidSize(layout.Size))
            throw new QueueException($"queue size = {layout.Size} is not a power of two in 1…{SplitLayout.MaxQueueSize}");

        var descriptors = new Area("descriptor area", layout.DescriptorArea, SplitLayout.DescriptorTableBytes(layout.Size));
        var driver = new Area("driver area", layout.DriverArea, SplitLayout.DriverAreaBytes(layout.Size));
        var device = new Area("device area", layout.DeviceArea, SplitLayout.DeviceAreaBytes(layout.Size));
        byte* descriptorsHost = descriptors.Translate(SplitLayout.DescriptorTableAlignment, ref memory);
        byte* driverHost = driver.Translate(SplitLayout.DriverAreaAlignment, ref memory);
        byte* deviceHost = device.Translate(SplitLayout.DeviceAreaAlignment, ref memory);
        descriptors.MustNotOverlap(driver);
        descriptors.MustNotOverlap(device);
        driver.MustNotOverlap(device);
        return new(layout.Size, descriptorsHost, driverHost, deviceHost);
    }

    private readonly record struct Area(string Name, GuestAddress Start, int Bytes)
    {
        public byte* Translate(int alignment, ref GuestMemory memory)
        {
            if (!Start.IsAligned(alignment))
                throw new QueueException($"{Name} = {Start} is not aligned to {alignment}");
            if (!memory.TryTranslate(Start.Value, (uint)Bytes, out byte* host))
                throw new QueueException($"{Name} = {Start}, {Bytes} bytes, is not in one piece of guest memory");

            // Atomic accesses need the alignment where the memory is mapped, too.
            if (((nuint)host & (nuint)(alignment - 1)) != 0)
                throw new QueueException($"{Name} = {Start} lies in a memory region that is not aligned to {alignment} here");
            return host;
        }

        public void MustNotOverlap(Area other)
        {
            // Distances, because an area may end exactly at 2^64.
            if (other.Start.Value - Start.Value < (ulong)Bytes || Start.Value - other.Start.Value < (ulong)other.Bytes)
                throw new QueueException($"{Name} = {Start} overlaps {other.Name} = {other.Start}");
        }
    }
}
