using System.Buffers.Binary;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>Accesses to device configuration in the width of the field (§4.1.3.1): 8, 16 or 32 bits, aligned.</summary>
/// <remarks>A driver asks for a field at a time. 8 bytes are two halves of 32 bits; any other number, or one that is not aligned, is
/// an array of bytes.</remarks>
internal static class ConfigurationFields
{
    public static void Read(RegisterStructure from, uint offset, Span<byte> field)
    {
        int width = WidthOf(offset, field.Length);
        for (int i = 0; i < field.Length; i += width)
        {
            uint value = from.Read(offset + (uint)i, width);
            if (width == 1)
                field[i] = (byte)value;
            else if (width == 2)
                BinaryPrimitives.WriteUInt16LittleEndian(field[i..], (ushort)value);
            else
                BinaryPrimitives.WriteUInt32LittleEndian(field[i..], value);
        }
    }

    public static void Write(RegisterStructure to, uint offset, ReadOnlySpan<byte> field)
    {
        int width = WidthOf(offset, field.Length);
        for (int i = 0; i < field.Length; i += width)
            to.Write(offset + (uint)i, width, width switch
            {
                1 => field[i],
                2 => BinaryPrimitives.ReadUInt16LittleEndian(field[i..]),
                _ => BinaryPrimitives.ReadUInt32LittleEndian(field[i..]),
            });
    }

    private static int WidthOf(uint offset, int length) => length switch
    {
        2 when offset % 2 == 0 => 2,
        4 or 8 when offset % 4 == 0 => 4,
        _ => 1,
    };
}
