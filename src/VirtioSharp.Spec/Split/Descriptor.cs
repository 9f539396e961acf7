using System.Runtime.InteropServices;

namespace VirtioSharp.Spec.Split;

/// <summary>One entry of a split ring's descriptor table, <c>struct virtq_desc</c>, 16 bytes (§2.7.5).</summary>
/// <param name="address">Guest-physical address of the buffer.</param>
/// <param name="length">Bytes in the buffer.</param>
/// <param name="flags">What kind of entry it is.</param>
/// <param name="next">The entry that follows, when <see cref="DescriptorFlags.Next"/> is set.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly struct Descriptor(ulong address, uint length, DescriptorFlags flags, ushort next)
{
    /// <summary>Bytes in one entry.</summary>
    public const int Size = 16;

    private readonly Le64 _address = address;
    private readonly Le32 _length = length;
    private readonly Le32 _flagsAndNext = (ushort)flags | (uint)next << 16; // as one, so that a copy of it needs one load and one register

    /// <summary>Guest-physical address of the buffer.</summary>
    public ulong Address => _address;

    /// <summary>Bytes in the buffer.</summary>
    public uint Length => _length;

    /// <summary>What kind of entry it is.</summary>
    public DescriptorFlags Flags => (DescriptorFlags)(ushort)(uint)_flagsAndNext;

    /// <summary>The entry that follows, when <see cref="DescriptorFlags.Next"/> is set.</summary>
    public ushort Next => (ushort)(_flagsAndNext >> 16);
}
