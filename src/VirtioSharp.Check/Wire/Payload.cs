using System.Runtime.InteropServices;

namespace VirtioSharp.Check.Wire;

/// <summary>Headers and payloads as the vhost-user specification draws them, in native byte order.</summary>
internal static class Payload
{
    /// <summary>"Invalid FD flag" in SET_VRING_KICK, _CALL and _ERR.</summary>
    public const ulong NoFd = 1 << 8;

    public static byte[] Header(uint request, uint flags, uint size) => Words(request, flags, size);

    public static byte[] U64(ulong value) => BitConverter.GetBytes(value);

    /// <summary>A vring state description: index and number.</summary>
    public static byte[] State(uint index, uint number) => Words(index, number);

    public static byte[] Address(uint index, ulong descriptor, ulong used, ulong available, uint flags = 0, ulong log = 0) =>
        [.. Words(index, flags), .. U64(descriptor), .. U64(used), .. U64(available), .. U64(log)];

    public static byte[] Region(ulong guest, ulong size, ulong user, ulong offset) =>
        [.. U64(guest), .. U64(size), .. U64(user), .. U64(offset)];

    /// <summary>ADD_MEM_REG and REM_MEM_REG.</summary>
    public static byte[] OneRegion(byte[] region) => [.. U64(0), .. region];

    /// <summary>SET_MEM_TABLE.</summary>
    public static byte[] Table(uint announced, params IEnumerable<byte[]> regions) =>
        [.. Words(announced, 0), .. regions.SelectMany(region => region)];

    public static byte[] Config(uint offset, uint size, ReadOnlySpan<byte> data, uint flags = 0) =>
        [.. Words(offset, size, flags), .. data];

    /// <summary>An inflight description, with the padding that every implementation sends (24 bytes).</summary>
    public static byte[] Inflight(ulong size, ulong offset, ushort queues, ushort entries) =>
        [.. U64(size), .. U64(offset), .. BitConverter.GetBytes(queues), .. BitConverter.GetBytes(entries), 0, 0, 0, 0];

    /// <summary>An IOTLB message, with the padding that every implementation sends (32 bytes).</summary>
    public static byte[] Iotlb(ulong address, ulong size, ulong user, int permission, int type) =>
        [.. U64(address), .. U64(size), .. U64(user), (byte)permission, (byte)type, 0, 0, 0, 0, 0, 0];

    private static byte[] Words(params ReadOnlySpan<uint> words) => MemoryMarshal.AsBytes(words).ToArray();
}
