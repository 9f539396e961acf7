using System.Runtime.InteropServices;

namespace VirtioSharp.Spec.Packed;

/// <summary>One entry of a packed ring, <c>struct pvirtq_desc</c>, 16 bytes (§2.8.13): available on the way in, used on the way out.</summary>
/// <param name="address">Guest-physical address of the buffer; unused in a used descriptor.</param>
/// <param name="length">Bytes in the buffer; in a used descriptor, bytes the device wrote.</param>
/// <param name="id">The buffer id, valid in the last descriptor of a list.</param>
/// <param name="flags">What kind of entry it is, and whose.</param>
[StructLayout(LayoutKind.Sequential)]
public readonly struct PackedDescriptor(ulong address, uint length, ushort id, DescriptorFlags flags)
{
    /// <summary>Bytes in one entry.</summary>
    public const int Size = 16;

    /// <summary>Offset of the flags, which are written last and read first.</summary>
    public const int FlagsOffset = 14;

    private readonly Le64 _address = address;
    private readonly Le32 _length = length;
    private readonly Le32 _idAndFlags = id | (uint)flags << 16; // as one, so that a copy of it needs one load and one register

    /// <summary>Guest-physical address of the buffer.</summary>
    public ulong Address => _address;

    /// <summary>Bytes in the buffer, or written to it.</summary>
    public uint Length => _length;

    /// <summary>The buffer id.</summary>
    public ushort Id => (ushort)(uint)_idAndFlags;

    /// <summary>What kind of entry it is, and whose.</summary>
    public DescriptorFlags Flags => (DescriptorFlags)(_idAndFlags >> 16);
}
