using System.Runtime.InteropServices;

namespace VirtioSharp.Spec.Split;

/// <summary>One entry of the used ring, <c>struct virtq_used_elem</c>, 8 bytes (§2.7.8).</summary>
/// <param name="id">Index of the chain's first descriptor.</param>
/// <param name="length">Bytes the device wrote, counted from the start of the writable part.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly struct UsedElement(uint id, uint length)
{
    private readonly Le32 _id = id;
    private readonly Le32 _length = length;

    /// <summary>Index of the chain's first descriptor. 32 bits wide only to keep the entry aligned.</summary>
    public uint Id => _id;

    /// <summary>Bytes the device wrote, counted from the start of the writable part.</summary>
    public uint Length => _length;
}
