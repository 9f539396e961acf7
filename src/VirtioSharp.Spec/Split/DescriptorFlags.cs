namespace VirtioSharp.Spec.Split;

/// <summary><c>virtq_desc.flags</c> (§2.7.5).</summary>
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
}
