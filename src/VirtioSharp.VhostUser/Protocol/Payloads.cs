using System.Runtime.InteropServices;

namespace VirtioSharp.VhostUser.Protocol;

// The payloads, native endian, as the vhost-user specification lays them out. Sizes are asserted by a test.

/// <summary>A ring and a number: SET_VRING_NUM, _BASE, _ENABLE, GET_VRING_BASE.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct VringState(uint index, uint num)
{
    public readonly uint Index = index;
    public readonly uint Num = num;
}

/// <summary>Where a ring is: SET_VRING_ADDR. User addresses, that is, the front-end's own.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct VringAddress(uint index, uint flags, ulong descriptor, ulong used, ulong available, ulong log)
{
    /// <summary>VHOST_VRING_F_LOG: what is written to the used ring is logged.</summary>
    public const uint LogFlag = 1;

    public readonly uint Index = index;
    public readonly uint Flags = flags;
    public readonly ulong Descriptor = descriptor;
    public readonly ulong Used = used;
    public readonly ulong Available = available;
    public readonly ulong Log = log;
}

/// <summary>One region of guest memory: in SET_MEM_TABLE, ADD_MEM_REG, REM_MEM_REG.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly record struct MemoryRegionPayload(ulong GuestAddress, ulong Size, ulong UserAddress, ulong MmapOffset);

/// <summary>What stands before the regions of SET_MEM_TABLE.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct MemoryTableHeader(uint regions)
{
    public readonly uint Regions = regions;
    public readonly uint Padding;
}

/// <summary>ADD_MEM_REG, REM_MEM_REG.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct SingleMemoryRegion(MemoryRegionPayload region)
{
    public readonly ulong Padding;
    public readonly MemoryRegionPayload Region = region;
}

/// <summary>What stands before the bytes of GET_CONFIG and SET_CONFIG.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct ConfigHeader(uint offset, uint size, uint flags)
{
    public const int Bytes = 12;

    public readonly uint Offset = offset;
    public readonly uint Size = size;
    public readonly uint Flags = flags;
}
