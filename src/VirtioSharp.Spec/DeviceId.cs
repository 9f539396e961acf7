namespace VirtioSharp.Spec;

/// <summary>Virtio device type numbers (§5). A PCI function carries 0x1040 + this number.</summary>
public enum DeviceId : ushort
{
    /// <summary>Reserved; a virtio-mmio window that answers 0 holds no device.</summary>
    None = 0,
    /// <summary>Network card (§5.1).</summary>
    Network = 1,
    /// <summary>Block device (§5.2).</summary>
    Block = 2,
    /// <summary>Console (§5.3).</summary>
    Console = 3,
    /// <summary>Entropy source (§5.4).</summary>
    Entropy = 4,
    /// <summary>Traditional memory balloon (§5.5).</summary>
    Balloon = 5,
    /// <summary>SCSI host (§5.6).</summary>
    Scsi = 8,
    /// <summary>9P transport.</summary>
    NineP = 9,
    /// <summary>GPU (§5.7).</summary>
    Gpu = 16,
    /// <summary>Real-time clock.</summary>
    Rtc = 17,
    /// <summary>Input (§5.8).</summary>
    Input = 18,
    /// <summary>Socket device (§5.10).</summary>
    Vsock = 19,
    /// <summary>Crypto (§5.9).</summary>
    Crypto = 20,
    /// <summary>IOMMU (§5.13).</summary>
    Iommu = 23,
    /// <summary>Memory (§5.15).</summary>
    Memory = 24,
    /// <summary>Sound (§5.14).</summary>
    Sound = 25,
    /// <summary>File system (§5.11).</summary>
    FileSystem = 26,
    /// <summary>Persistent memory (§5.19).</summary>
    PersistentMemory = 27,
    /// <summary>I²C adapter (§5.16).</summary>
    I2c = 34,
    /// <summary>CAN.</summary>
    Can = 36,
    /// <summary>GPIO (§5.18).</summary>
    Gpio = 41,
}
