namespace VirtioSharp.Transports.Mmio;

/// <summary>What the Version register says.</summary>
public enum MmioVersion
{
    /// <summary>The legacy interface: 32 feature bits, rings by page number, no FEATURES_OK (§4.2.4).</summary>
    Legacy = 1,

    /// <summary>VIRTIO 1 and later (§4.2.2).</summary>
    Current = 2,
}
