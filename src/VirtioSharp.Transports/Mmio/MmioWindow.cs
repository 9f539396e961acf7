using System.Buffers.Binary;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Mmio;

namespace VirtioSharp.Transports.Mmio;

/// <summary>A virtio-mmio window as its driver uses it: 32-bit registers, and configuration space in the widths that are asked for (§4.2.2.2).</summary>
internal readonly struct MmioWindow(IRegisterWindow window)
{
    /// <summary>What a bus answers where nobody does.</summary>
    private const uint AllOnes = uint.MaxValue;

    public uint Read(int register) => window.Read((ulong)register, 4);

    /// <summary>Reads a register that cannot be all ones while the device is there.</summary>
    /// <exception cref="TransportException">The device has been unplugged.</exception>
    public uint ReadPresent(int register)
    {
        uint value = Read(register);
        return value != AllOnes || Read(MmioRegister.MagicValue) == MmioRegister.Magic
            ? value
            : throw new TransportException($"register 0x{register:x3} and the magic read 0xffffffff: the device has been unplugged");
    }

    public void Write(int register, uint value) => window.Write((ulong)register, 4, value);

    public void Write64(int register, ulong value)
    {
        Write(register, (uint)value);
        Write(register + 4, (uint)(value >> 32));
    }

    /// <summary>Reads configuration space.</summary>
    /// <param name="offset">Into it.</param>
    /// <param name="destination">One field, or bytes.</param>
    /// <param name="bytewise">Only byte by byte, as legacy drivers do.</param>
    public void ReadConfiguration(uint offset, Span<byte> destination, bool bytewise)
    {
        int width = bytewise ? 1 : WidthOf(offset, destination.Length);
        Span<byte> bytes = stackalloc byte[4];
        for (int done = 0; done < destination.Length; done += width)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, window.Read(At(offset, done), width));
            bytes[..width].CopyTo(destination[done..]);
        }
    }

    /// <summary>Writes configuration space; as <see cref="ReadConfiguration"/>.</summary>
    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source, bool bytewise)
    {
        int width = bytewise ? 1 : WidthOf(offset, source.Length);
        Span<byte> bytes = stackalloc byte[4];
        for (int done = 0; done < source.Length; done += width)
        {
            bytes.Clear();
            source.Slice(done, width).CopyTo(bytes);
            window.Write(At(offset, done), width, BinaryPrimitives.ReadUInt32LittleEndian(bytes));
        }
    }

    private static ulong At(uint offset, int further) => MmioRegister.DeviceConfiguration + (ulong)offset + (uint)further;

    // A field of 2 bytes is read as such, one of 4 or 8 by 4 bytes; anything else is an array of bytes (a MAC address, a tag).
    private static int WidthOf(uint offset, int length) => length switch
    {
        2 when offset % 2 == 0 => 2,
        4 or 8 when offset % 4 == 0 => 4,
        _ => 1,
    };
}
