namespace VirtioSharp.Spec.Pci;

/// <summary>How a virtio device shows itself as a PCI function (§4.1.2).</summary>
public static class VirtioPci
{
    /// <summary>Vendor id of every virtio function.</summary>
    public const ushort VendorId = 0x1AF4;
    /// <summary>Device id of a modern function: this plus the device type.</summary>
    public const ushort ModernDeviceIdBase = 0x1040;
    /// <summary>The first device id of transitional and legacy functions; the device type is in the subsystem id.</summary>
    public const ushort FirstTransitionalDeviceId = 0x1000;
    /// <summary>The last one.</summary>
    public const ushort LastTransitionalDeviceId = 0x103F;
    /// <summary>The last device id that a virtio function may have.</summary>
    public const ushort LastModernDeviceId = 0x107F;
    /// <summary>Reads back from a vector register to which nothing is mapped, or whose mapping failed (§4.1.5.1.2).</summary>
    public const ushort NoVector = 0xFFFF;

    /// <summary>The PCI device id of a transitional function (§4.1.2.1).</summary>
    /// <returns>False for device types that came after the legacy interface.</returns>
    public static bool TryGetTransitionalDeviceId(DeviceId type, out ushort id)
    {
        id = type switch
        {
            DeviceId.Network => 0x1000,
            DeviceId.Block => 0x1001,
            DeviceId.Balloon => 0x1002,
            DeviceId.Console => 0x1003,
            DeviceId.Scsi => 0x1004,
            DeviceId.Entropy => 0x1005,
            DeviceId.NineP => 0x1009,
            _ => 0,
        };
        return id != 0;
    }
}

/// <summary>What a virtio capability points to (§4.1.4).</summary>
public enum VirtioPciCapabilityType : byte
{
    /// <summary>Common configuration.</summary>
    CommonConfiguration = 1,
    /// <summary>Notifications.</summary>
    Notification = 2,
    /// <summary>ISR status.</summary>
    InterruptStatus = 3,
    /// <summary>Device configuration.</summary>
    DeviceConfiguration = 4,
    /// <summary>A window on the others through configuration space.</summary>
    PciConfigurationAccess = 5,
    /// <summary>Shared memory.</summary>
    SharedMemory = 8,
    /// <summary>Vendor data.</summary>
    Vendor = 9,
}

/// <summary>A virtio capability (§4.1.4): <c>vndr:8 next:8 len:8 type:8 bar:8 id:8 pad:16 offset:32 length:32</c>.</summary>
public static class VirtioPciCapabilityLayout
{
    /// <summary>Bytes of the capability itself, as <c>cap_len</c> counts: at the least this many.</summary>
    public const int Length = 2;
    /// <summary><see cref="VirtioPciCapabilityType"/>.</summary>
    public const int Type = 3;
    /// <summary>0–5; other values are reserved, and the capability is to be ignored.</summary>
    public const int Bar = 4;
    /// <summary>Tells several of one type apart: shared memory regions.</summary>
    public const int Id = 5;
    /// <summary>32 bits: where in the BAR.</summary>
    public const int Offset = 8;
    /// <summary>32 bits: how much.</summary>
    public const int AreaLength = 12;
    /// <summary>Of a notification capability: 32 bits, bytes per queue_notify_off.</summary>
    public const int NotifyMultiplier = 16;
    /// <summary>Of the window: 4 bytes of data.</summary>
    public const int WindowData = 16;
    /// <summary>Of shared memory: the high half of the offset.</summary>
    public const int OffsetHigh = 16;
    /// <summary>Of shared memory: the high half of the length.</summary>
    public const int AreaLengthHigh = 20;
    /// <summary>Of vendor data: 16 bits, whose they are.</summary>
    public const int VendorId = 4;
    /// <summary>Of vendor data: where they start.</summary>
    public const int VendorData = 6;
    /// <summary>Bytes of a plain capability.</summary>
    public const int PlainBytes = 16;
    /// <summary>Bytes of a notification capability and of the window.</summary>
    public const int NotifyBytes = 20;
    /// <summary>Bytes of a shared memory capability.</summary>
    public const int SharedMemoryBytes = 24;
}
