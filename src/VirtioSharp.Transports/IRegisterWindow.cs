namespace VirtioSharp.Transports;

/// <summary>Some registers at consecutive addresses: a BAR of a PCI function, or a virtio-mmio window. Little-endian values.</summary>
/// <remarks>An access that the carrier cannot bring to the device (gone, connection lost) throws a TransportException; a device
/// that was unplugged reads as all ones, as a bus does.</remarks>
public interface IRegisterWindow
{
    /// <summary>Bytes.</summary>
    ulong Length { get; }

    /// <summary>Reads a register.</summary>
    /// <param name="offset">From the window's start.</param>
    /// <param name="width">1, 2 or 4 bytes, all inside the window.</param>
    uint Read(ulong offset, int width);

    /// <summary>Writes a register.</summary>
    /// <param name="offset">From the window's start.</param>
    /// <param name="width">1, 2 or 4 bytes, all inside the window.</param>
    /// <param name="value">The bytes beyond the width are ignored.</param>
    void Write(ulong offset, int width, uint value);
}
