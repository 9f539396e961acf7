namespace VirtioSharp.Spec.Mmio;

/// <summary>Offsets in a virtio-mmio window (§4.2.2, legacy §4.2.4). All but device configuration are 32 bits wide.</summary>
public static class MmioRegister
{
    /// <summary>"virt".</summary>
    public const int MagicValue = 0x000;
    /// <summary>2, or 1 for the legacy interface.</summary>
    public const int Version = 0x004;
    /// <summary>0: no device here.</summary>
    public const int DeviceId = 0x008;
    /// <summary>The implementer.</summary>
    public const int VendorId = 0x00C;
    /// <summary>32 feature bits, those that were selected.</summary>
    public const int DeviceFeatures = 0x010;
    /// <summary>Which 32 bits to show.</summary>
    public const int DeviceFeaturesSelect = 0x014;
    /// <summary>32 feature bits, those that were selected.</summary>
    public const int DriverFeatures = 0x020;
    /// <summary>Which 32 bits are written.</summary>
    public const int DriverFeaturesSelect = 0x024;
    /// <summary>Legacy: bytes per page of <see cref="QueuePage"/>.</summary>
    public const int GuestPageSize = 0x028;
    /// <summary>Which queue the registers below are of.</summary>
    public const int QueueSelect = 0x030;
    /// <summary>0 where there is no such queue.</summary>
    public const int QueueSizeMax = 0x034;
    /// <summary>Entries.</summary>
    public const int QueueSize = 0x038;
    /// <summary>Legacy: alignment of the device area in the ring.</summary>
    public const int QueueAlign = 0x03C;
    /// <summary>Legacy: where the ring is; 0 disables it.</summary>
    public const int QueuePage = 0x040;
    /// <summary>1 enables; reads back what is.</summary>
    public const int QueueReady = 0x044;
    /// <summary>The queue's index, or NOTIFICATION_DATA.</summary>
    public const int QueueNotify = 0x050;
    /// <summary>Why the line is raised.</summary>
    public const int InterruptStatus = 0x060;
    /// <summary>Clears bits of it.</summary>
    public const int InterruptAcknowledge = 0x064;
    /// <summary>Device status.</summary>
    public const int Status = 0x070;
    /// <summary>Descriptor area, low half; the high half follows.</summary>
    public const int QueueDescriptorArea = 0x080;
    /// <summary>Driver area, low half; the high half follows.</summary>
    public const int QueueDriverArea = 0x090;
    /// <summary>Device area, low half; the high half follows.</summary>
    public const int QueueDeviceArea = 0x0A0;
    /// <summary>Which shared memory region.</summary>
    public const int SharedMemorySelect = 0x0AC;
    /// <summary>64 bits in two halves; all ones where there is none.</summary>
    public const int SharedMemoryLength = 0x0B0;
    /// <summary>64 bits in two halves; all ones where there is none.</summary>
    public const int SharedMemoryBase = 0x0B8;
    /// <summary>1 resets the queue; reads 1 while that is going on.</summary>
    public const int QueueReset = 0x0C0;
    /// <summary>Changes with configuration space.</summary>
    public const int ConfigurationGeneration = 0x0FC;
    /// <summary>Device configuration.</summary>
    public const int DeviceConfiguration = 0x100;
    /// <summary>What <see cref="MagicValue"/> reads.</summary>
    public const uint Magic = 0x7472_6976;
    /// <summary>Bytes of a window, at the least.</summary>
    public const int MinWindowBytes = 0x100;
}
