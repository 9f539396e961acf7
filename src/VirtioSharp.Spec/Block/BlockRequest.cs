using System.Runtime.InteropServices;

namespace VirtioSharp.Spec.Block;

/// <summary>Numbers of the block device's requests, <c>struct virtio_blk_req</c> (§5.2.6): header, data, one byte of status.</summary>
public static class BlockLayout
{
    /// <summary>Bytes of a sector: the unit of every sector number, whatever blk_size says.</summary>
    public const int SectorBytes = 512;
    /// <summary>Bytes that GET_ID fetches: ASCII, padded with NUL; twenty characters have none.</summary>
    public const int IdBytes = 20;
}

/// <summary>What a request asks for (§5.2.6).</summary>
public enum BlockRequestType : uint
{
    /// <summary>Read sectors.</summary>
    In = 0,
    /// <summary>Write sectors.</summary>
    Out = 1,
    /// <summary>Make completed writes stable.</summary>
    Flush = 4,
    /// <summary>Fetch the device's id string.</summary>
    GetId = 8,
    /// <summary>Fetch how worn the device is.</summary>
    GetLifetime = 10,
    /// <summary>Sectors that are not needed any more.</summary>
    Discard = 11,
    /// <summary>Sectors that shall read zero.</summary>
    WriteZeroes = 13,
    /// <summary>Sectors that nobody shall read again.</summary>
    SecureErase = 14,
}

/// <summary>The last byte of the writable part: how the request ended (§5.2.6).</summary>
public enum BlockStatus : byte
{
    /// <summary>It succeeded.</summary>
    Ok = 0,
    /// <summary>Device or driver error.</summary>
    IoError = 1,
    /// <summary>The device does not support it.</summary>
    Unsupported = 2,
}

/// <summary>How a request begins, <c>type:32 reserved:32 sector:64</c> (§5.2.6).</summary>
/// <param name="type">What it asks for.</param>
/// <param name="sector">Where; 0 if it has no place.</param>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BlockRequestHeader(BlockRequestType type, ulong sector)
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;

    private readonly Le32 _type = (uint)type;
    private readonly Le32 _reserved;
    private readonly Le64 _sector = sector;

    /// <summary>What it asks for.</summary>
    public BlockRequestType Type => (BlockRequestType)(uint)_type;

    /// <summary>0; a legacy device's I/O priority.</summary>
    public uint Reserved => _reserved;

    /// <summary>Where, in sectors of 512 bytes.</summary>
    public ulong Sector => _sector;
}

/// <summary>A range of DISCARD, WRITE_ZEROES or SECURE_ERASE, <c>struct virtio_blk_discard_write_zeroes</c> (§5.2.6).</summary>
/// <param name="sector">The first sector.</param>
/// <param name="count">How many.</param>
/// <param name="flags">Bit 0: unmap.</param>
[StructLayout(LayoutKind.Sequential, Pack = 1)]
public readonly struct BlockRange(ulong sector, uint count, uint flags = 0)
{
    /// <summary>Bytes.</summary>
    public const int Size = 16;
    /// <summary>The device may deallocate the sectors. Of WRITE_ZEROES only; every other bit is reserved.</summary>
    public const uint Unmap = 1;

    private readonly Le64 _sector = sector;
    private readonly Le32 _count = count;
    private readonly Le32 _flags = flags;

    /// <summary>The first sector.</summary>
    public ulong Sector => _sector;

    /// <summary>How many.</summary>
    public uint Count => _count;

    /// <summary>See <see cref="Unmap"/>.</summary>
    public uint Flags => _flags;
}
