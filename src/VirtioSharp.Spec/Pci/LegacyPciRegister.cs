namespace VirtioSharp.Spec.Pci;

/// <summary>Offsets in the legacy interface's I/O BAR 0 (§4.1.4.10). In the byte order of the guest.</summary>
public static class LegacyPciRegister
{
    /// <summary>32 bits, read-only.</summary>
    public const int DeviceFeatures = 0x00;
    /// <summary>32 bits.</summary>
    public const int DriverFeatures = 0x04;
    /// <summary>32 bits: the ring's address divided by 4096; 0 disables it.</summary>
    public const int QueuePage = 0x08;
    /// <summary>16 bits, read-only: the queue has exactly so many entries; 0 where there is none.</summary>
    public const int QueueSize = 0x0C;
    /// <summary>16 bits.</summary>
    public const int QueueSelect = 0x0E;
    /// <summary>16 bits.</summary>
    public const int QueueNotify = 0x10;
    /// <summary>8 bits.</summary>
    public const int DeviceStatus = 0x12;
    /// <summary>8 bits: a read clears it.</summary>
    public const int InterruptStatus = 0x13;
    /// <summary>Only while MSI-X is enabled: 16 bits, the vector of configuration changes.</summary>
    public const int ConfigurationVector = 0x14;
    /// <summary>Only while MSI-X is enabled: 16 bits.</summary>
    public const int QueueVector = 0x16;
    /// <summary>Where device configuration starts while MSI-X is not enabled.</summary>
    public const int DeviceConfiguration = 0x14;
    /// <summary>Where device configuration starts while MSI-X is enabled.</summary>
    public const int DeviceConfigurationWithMsix = 0x18;
    /// <summary>Bytes per page of <see cref="QueuePage"/>, and the alignment of the device area in the ring.</summary>
    public const int PageBytes = 4096;
}
