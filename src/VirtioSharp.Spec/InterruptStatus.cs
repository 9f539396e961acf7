namespace VirtioSharp.Spec;

/// <summary>Why a line was raised: the ISR status of virtio-pci (§4.1.4.5) and InterruptStatus of virtio-mmio (§4.2.2).</summary>
[Flags]
public enum InterruptStatus : byte
{
    /// <summary>Somebody else's interrupt.</summary>
    None = 0,
    /// <summary>Some queue has used buffers.</summary>
    UsedBuffer = 1,
    /// <summary>Configuration space has changed.</summary>
    ConfigurationChange = 2,
}
