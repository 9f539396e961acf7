namespace VirtioSharp.Spec.Pci;

/// <summary>Offsets in the common configuration structure (§4.1.4.3). 64-bit fields are accessed as two halves of 32 bits.</summary>
public static class CommonConfigurationRegister
{
    /// <summary>32 bits: which 32 feature bits <see cref="DeviceFeature"/> shows.</summary>
    public const int DeviceFeatureSelect = 0x00;
    /// <summary>32 bits, read-only.</summary>
    public const int DeviceFeature = 0x04;
    /// <summary>32 bits: which 32 feature bits <see cref="DriverFeature"/> holds.</summary>
    public const int DriverFeatureSelect = 0x08;
    /// <summary>32 bits.</summary>
    public const int DriverFeature = 0x0C;
    /// <summary>16 bits: the vector of configuration changes.</summary>
    public const int ConfigurationVector = 0x10;
    /// <summary>16 bits, read-only.</summary>
    public const int QueueCount = 0x12;
    /// <summary>8 bits.</summary>
    public const int DeviceStatus = 0x14;
    /// <summary>8 bits, read-only.</summary>
    public const int ConfigurationGeneration = 0x15;
    /// <summary>16 bits: which queue the fields below are of.</summary>
    public const int QueueSelect = 0x16;
    /// <summary>16 bits: at reset the most that the device supports; 0 where there is no such queue.</summary>
    public const int QueueSize = 0x18;
    /// <summary>16 bits.</summary>
    public const int QueueVector = 0x1A;
    /// <summary>16 bits: 1 enables; only a reset disables.</summary>
    public const int QueueEnable = 0x1C;
    /// <summary>16 bits, read-only: times the multiplier, where the queue is notified.</summary>
    public const int QueueNotifyOffset = 0x1E;
    /// <summary>64 bits: the descriptor area.</summary>
    public const int QueueDescriptorArea = 0x20;
    /// <summary>64 bits: the driver area.</summary>
    public const int QueueDriverArea = 0x28;
    /// <summary>64 bits: the device area.</summary>
    public const int QueueDeviceArea = 0x30;
    /// <summary>16 bits, read-only: what to notify with when NOTIF_CONFIG_DATA was negotiated.</summary>
    public const int QueueNotifyData = 0x38;
    /// <summary>16 bits: 1 resets the queue; reads 1 while that is going on.</summary>
    public const int QueueReset = 0x3A;
    /// <summary>16 bits, read-only: the first administration queue.</summary>
    public const int AdminQueueIndex = 0x3C;
    /// <summary>16 bits, read-only.</summary>
    public const int AdminQueueCount = 0x3E;
    /// <summary>Bytes of the structure.</summary>
    public const int Size = 0x40;
    /// <summary>Bytes that every modern device has: up to and with the device area.</summary>
    public const int MinSize = 0x38;
}
