using System.Runtime.InteropServices;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>Payloads as the vhost-user specification draws them, written without the server's own structs.</summary>
internal static class Wire
{
    /// <summary>VHOST_USER_F_PROTOCOL_FEATURES, and the virtio features that the tests negotiate.</summary>
    public const ulong ProtocolFeatures = 1UL << 30, Version1 = 1UL << 32, EventIdx = 1UL << 29, IndirectDesc = 1UL << 28, AccessPlatform = 1UL << 33, LogAll = 1UL << 26;

    /// <summary>The header's second word.</summary>
    public const uint Version = 1, Reply = 4, NeedReply = 8;

    /// <summary>"No descriptor" in SET_VRING_KICK, _CALL and _ERR.</summary>
    public const ulong NoFd = 1 << 8;

    public static byte[] Header(uint request, uint flags, uint size) => Words(request, flags, size);

    public static byte[] U64(ulong value) => BitConverter.GetBytes(value);

    /// <summary>A ring's index and a number.</summary>
    public static byte[] State(uint index, uint number) => Words(index, number);

    /// <summary>The used ring's writes are logged as if it were at <paramref name="log"/>, if that is given.</summary>
    public static byte[] Address(uint index, ulong descriptor, ulong used, ulong available, ulong? log = null) =>
        [.. State(index, log is null ? 0u : 1), .. U64(descriptor), .. U64(used), .. U64(available), .. U64(log ?? 0)];

    /// <summary>SET_LOG_BASE.</summary>
    public static byte[] Log(ulong size, ulong offset) => [.. U64(size), .. U64(offset)];

    /// <summary>ADD_MEM_REG and REM_MEM_REG: padding and one region.</summary>
    public static byte[] OneRegion(Region region) => [.. U64(0), .. region.Bytes];

    /// <summary>SET_MEM_TABLE.</summary>
    public static byte[] Table(uint announced, params IEnumerable<Region> regions) =>
        [.. Words(announced, 0), .. regions.SelectMany(region => region.Bytes)];

    /// <summary>An IOTLB_MSG, with the padding that a C compiler adds.</summary>
    public static byte[] Iotlb(ulong address, ulong size, ulong user, byte permission, byte type) =>
        [.. U64(address), .. U64(size), .. U64(user), permission, type, 0, 0, 0, 0, 0, 0];

    public static byte[] Config(uint offset, uint size, ReadOnlySpan<byte> data, uint flags = 0) =>
        [.. Words(offset, size, flags), .. data];

    /// <summary>GET_INFLIGHT_FD and SET_INFLIGHT_FD, with the padding that a C compiler adds.</summary>
    public static byte[] Inflight(ulong size, ulong offset, ushort queues, ushort queueSize) =>
        [.. U64(size), .. U64(offset), .. BitConverter.GetBytes(queues), .. BitConverter.GetBytes(queueSize), 0, 0, 0, 0];

    private static byte[] Words(params ReadOnlySpan<uint> words) => MemoryMarshal.AsBytes(words).ToArray();

    /// <summary>What a front-end says of a region.</summary>
    internal sealed record Region(ulong GuestAddress, ulong Size, ulong UserAddress, ulong MmapOffset)
    {
        public byte[] Bytes => [.. U64(GuestAddress), .. U64(Size), .. U64(UserAddress), .. U64(MmapOffset)];
    }
}
