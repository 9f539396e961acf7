using System.Buffers.Binary;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Software;

/// <summary>The 256 bytes of a function's configuration space. Each bit is either the driver's to write or is not.</summary>
/// <remarks>Reserved registers read 0. An access that is not 1, 2 or 4 bytes at a multiple of that reads all ones and writes nothing.</remarks>
public sealed class PciConfigurationSpace
{
    private readonly byte[] _values = new byte[PciConfigurationRegister.Size];
    private readonly byte[] _writable = new byte[PciConfigurationRegister.Size];
    private byte[] _atPowerOn = [];

    /// <summary>What the driver reads.</summary>
    public uint Read(int offset, int width)
    {
        if (!IsAccess(offset, width))
            return RegisterAccess.AllOnes(width);
        uint word = BinaryPrimitives.ReadUInt32LittleEndian(_values.AsSpan(offset & ~3));
        return (word >> (8 * (offset & 3))) & RegisterAccess.AllOnes(width);
    }

    /// <summary>What the driver writes: only the bits that are writable change.</summary>
    public void Write(int offset, int width, uint value)
    {
        if (!IsAccess(offset, width))
            return;
        for (int i = 0; i < width; i++, value >>= 8)
        {
            byte writable = _writable[offset + i];
            _values[offset + i] = (byte)((_values[offset + i] & ~writable) | ((byte)value & writable));
        }
    }

    /// <summary>Sets 8 bits, writable or not: for the function itself.</summary>
    public void Set8(int offset, byte value) => _values[offset] = value;

    /// <summary>Sets 16 bits.</summary>
    public void Set16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_values.AsSpan(offset), value);

    /// <summary>Sets 32 bits.</summary>
    public void Set32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_values.AsSpan(offset), value);

    /// <summary>Gives the driver these bits to write.</summary>
    public void AllowWrites(int offset, uint mask)
    {
        for (; mask != 0; mask >>= 8)
            _writable[offset++] |= (byte)mask;
    }

    /// <summary>What is here now is how the function looks after power-on.</summary>
    internal void Seal() => _atPowerOn = [.. _values];

    internal void PowerOn() => _atPowerOn.CopyTo(_values, 0);

    private static bool IsAccess(int offset, int width) =>
        (uint)offset < PciConfigurationRegister.Size && RegisterAccess.IsNatural((uint)offset, width);
}
