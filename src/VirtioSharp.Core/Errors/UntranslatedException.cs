using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Errors;

/// <summary>A ring behind an IOMMU cannot be used yet: one of its addresses has no translation. It may be enabled when there is one.</summary>
/// <param name="address">The first that is missing.</param>
/// <param name="access">What it is needed for.</param>
public sealed class UntranslatedException(GuestAddress address, MemoryAccess access)
    : Exception($"I/O address {address} of the ring has no translation for {access}")
{
    /// <summary>The first address that is missing.</summary>
    public GuestAddress Address => address;

    /// <summary>What it is needed for.</summary>
    public MemoryAccess Access => access;
}
