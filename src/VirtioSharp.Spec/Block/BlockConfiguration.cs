using System.Runtime.InteropServices;

namespace VirtioSharp.Spec.Block;

/// <summary>Configuration space of the block device, <c>struct virtio_blk_config</c>, 96 bytes (§5.2.4).</summary>
/// <remarks>Only <see cref="Capacity"/> always means something; what else does is told by the feature bits.</remarks>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BlockConfiguration
{
    /// <summary>Bytes.</summary>
    public const int Size = 96;

    /// <summary>512-byte sectors.</summary>
    public Le64 Capacity { get; init; }
    /// <summary>SIZE_MAX: most bytes of one segment.</summary>
    public Le32 SizeMax { get; init; }
    /// <summary>SEG_MAX: most data segments of one request.</summary>
    public Le32 SegMax { get; init; }
    /// <summary>GEOMETRY.</summary>
    public BlockGeometry Geometry { get; init; }
    /// <summary>BLK_SIZE: the best size of a block, in bytes. The protocol's unit stays 512.</summary>
    public Le32 BlockSize { get; init; }
    /// <summary>TOPOLOGY.</summary>
    public BlockTopology Topology { get; init; }
    /// <summary>CONFIG_WCE: 0 is a writethrough cache, 1 a writeback one.</summary>
    public byte Writeback { get; init; }
    /// <summary>0.</summary>
    public byte Unused0 { get; init; }
    /// <summary>MQ: how many queues.</summary>
    public Le16 QueueCount { get; init; }
    /// <summary>DISCARD: most sectors of one range.</summary>
    public Le32 MaxDiscardSectors { get; init; }
    /// <summary>DISCARD: most ranges of one request.</summary>
    public Le32 MaxDiscardSegments { get; init; }
    /// <summary>DISCARD: sectors to align to when a range is split.</summary>
    public Le32 DiscardSectorAlignment { get; init; }
    /// <summary>WRITE_ZEROES: most sectors of one range.</summary>
    public Le32 MaxWriteZeroesSectors { get; init; }
    /// <summary>WRITE_ZEROES: most ranges of one request.</summary>
    public Le32 MaxWriteZeroesSegments { get; init; }
    /// <summary>WRITE_ZEROES: 1 if zeroes can deallocate sectors.</summary>
    public byte WriteZeroesMayUnmap { get; init; }
    /// <summary>0.</summary>
    public byte Unused1 { get; init; }
    /// <summary>0.</summary>
    public Le16 Unused2 { get; init; }
    /// <summary>SECURE_ERASE: most sectors of one range.</summary>
    public Le32 MaxSecureEraseSectors { get; init; }
    /// <summary>SECURE_ERASE: most ranges of one request.</summary>
    public Le32 MaxSecureEraseSegments { get; init; }
    /// <summary>SECURE_ERASE: sectors to align to when a range is split.</summary>
    public Le32 SecureEraseSectorAlignment { get; init; }
    /// <summary>ZONED.</summary>
    public BlockZones Zones { get; init; }
}

/// <summary>A disk's geometry, as of old (§5.2.4).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BlockGeometry
{
    /// <summary>Cylinders.</summary>
    public Le16 Cylinders { get; init; }
    /// <summary>Heads.</summary>
    public byte Heads { get; init; }
    /// <summary>Sectors of a track.</summary>
    public byte Sectors { get; init; }
}

/// <summary>Which alignment serves the device best (§5.2.4). It changes no unit of the protocol.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BlockTopology
{
    /// <summary>Logical blocks of a physical one, as a power of two.</summary>
    public byte PhysicalBlockExponent { get; init; }
    /// <summary>The first aligned logical block.</summary>
    public byte AlignmentOffset { get; init; }
    /// <summary>Suggested least blocks of a request.</summary>
    public Le16 MinIoSize { get; init; }
    /// <summary>Suggested most blocks of a request.</summary>
    public Le32 OptimalIoSize { get; init; }
}

/// <summary>How the zones of a zoned device are (§5.2.4).</summary>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BlockZones
{
    /// <summary>Sectors of a zone.</summary>
    public Le32 ZoneSectors { get; init; }
    /// <summary>Most zones that are open at once; 0 is no limit.</summary>
    public Le32 MaxOpenZones { get; init; }
    /// <summary>Most zones that are active at once; 0 is no limit.</summary>
    public Le32 MaxActiveZones { get; init; }
    /// <summary>Most sectors that one request appends.</summary>
    public Le32 MaxAppendSectors { get; init; }
    /// <summary>Bytes that writes to a sequential zone are a multiple of.</summary>
    public Le32 WriteGranularity { get; init; }
    /// <summary>0 none, 1 host-managed, 2 host-aware.</summary>
    public byte Model { get; init; }
    /// <summary>0.</summary>
    public byte Unused0 { get; init; }
    /// <summary>0.</summary>
    public Le16 Unused1 { get; init; }
}

/// <summary>Where the fields lie (§5.2.4), for drivers: each is read with an access of its own.</summary>
public static class BlockConfigurationOffset
{
    /// <summary>64 bits.</summary>
    public const uint Capacity = 0;
    /// <summary>32 bits.</summary>
    public const uint SizeMax = 8;
    /// <summary>32 bits.</summary>
    public const uint SegMax = 12;
    /// <summary>16 bits; heads and sectors follow, 8 bits each.</summary>
    public const uint Geometry = 16;
    /// <summary>32 bits.</summary>
    public const uint BlockSize = 20;
    /// <summary>8 bits; the other fields of <see cref="BlockTopology"/> follow, 8, 16 and 32 bits.</summary>
    public const uint Topology = 24;
    /// <summary>8 bits; the one field that a driver writes.</summary>
    public const uint Writeback = 32;
    /// <summary>16 bits.</summary>
    public const uint QueueCount = 34;
    /// <summary>32 bits.</summary>
    public const uint MaxDiscardSectors = 36;
    /// <summary>32 bits.</summary>
    public const uint MaxDiscardSegments = 40;
    /// <summary>32 bits.</summary>
    public const uint DiscardSectorAlignment = 44;
    /// <summary>32 bits.</summary>
    public const uint MaxWriteZeroesSectors = 48;
    /// <summary>32 bits.</summary>
    public const uint MaxWriteZeroesSegments = 52;
    /// <summary>8 bits.</summary>
    public const uint WriteZeroesMayUnmap = 56;
}
