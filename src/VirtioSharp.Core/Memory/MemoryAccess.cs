namespace VirtioSharp.Core.Memory;

/// <summary>What a device may do with memory behind an IOMMU, or wants to. The numbers are vhost's (<c>VHOST_ACCESS_*</c>).</summary>
[Flags]
public enum MemoryAccess : byte
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>Read it.</summary>
    Read = 1,
    /// <summary>Write it.</summary>
    Write = 2,
    /// <summary>Both.</summary>
    ReadWrite = Read | Write,
}
