using System.Buffers.Binary;
using VirtioSharp.Core.Device;

namespace VirtioSharp.Transports;

/// <summary>Device configuration space as registers reach it: 1, 2 or 4 bytes at any offset, in the byte order of the bus and of any guest that runs here.</summary>
internal static class ConfigurationAccess
{
    /// <summary>Reads; 0 for a width that no bus has, and beyond the end.</summary>
    public static uint Read(DeviceHost host, ulong offset, int width)
    {
        if (offset > int.MaxValue || width is not (1 or 2 or 4))
            return 0;
        Span<byte> bytes = stackalloc byte[4];
        bytes.Clear();
        host.ReadConfiguration((uint)offset, bytes[..width]);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
    }

    /// <summary>Writes; nothing for a width that no bus has, and beyond the end.</summary>
    public static void Write(DeviceHost host, ulong offset, int width, uint value)
    {
        if (offset > int.MaxValue || width is not (1 or 2 or 4))
            return;
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        host.WriteConfiguration((uint)offset, bytes[..width]);
    }
}
