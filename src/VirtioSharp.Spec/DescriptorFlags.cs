namespace VirtioSharp.Spec;

/// <summary><c>virtq_desc.flags</c> (§2.7.5) and <c>pvirtq_desc.flags</c> (§2.8.13).</summary>
[Flags]
public enum DescriptorFlags : ushort
{
    /// <summary>The last entry of its chain, readable by the device.</summary>
    None = 0,
    /// <summary>The chain goes on at the entry's next field.</summary>
    Next = 1,
    /// <summary>The device writes this buffer (otherwise it reads it).</summary>
    Write = 2,
    /// <summary>The buffer is a table of descriptors (§2.7.5.3).</summary>
    Indirect = 4,
    /// <summary>Packed rings: the driver's mark (§2.8.1).</summary>
    Available = 1 << 7,
    /// <summary>Packed rings: the device's mark (§2.8.1).</summary>
    Used = 1 << 15,
}
