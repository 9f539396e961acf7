using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>Where the driver put a virtqueue (§2.6). Every value is the driver's claim until the queue has been enabled.</summary>
/// <param name="Size">Entries.</param>
/// <param name="DescriptorArea">The descriptor table; in a packed queue, the ring.</param>
/// <param name="DriverArea">The available ring; in a packed queue, the driver's event suppression.</param>
/// <param name="DeviceArea">The used ring; in a packed queue, the device's event suppression.</param>
public readonly record struct QueueLayout(int Size, GuestAddress DescriptorArea, GuestAddress DriverArea, GuestAddress DeviceArea);
