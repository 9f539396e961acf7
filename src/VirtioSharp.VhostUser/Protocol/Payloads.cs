using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.VhostUser.Protocol;

// The payloads, native endian, as the vhost-user specification lays them out. Sizes are asserted by a test.

/// <summary>A ring and a number: SET_VRING_NUM, _BASE, _ENABLE, GET_VRING_BASE; a ring alone: VRING_KICK, _CALL, _ERR.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct VringState(uint index, uint num)
{
    public const int Bytes = 8;

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

/// <summary>The u64 of SET_VRING_KICK, _CALL and _ERR: a ring, and whether a descriptor comes along.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct VringFd(ulong value)
{
    private readonly ulong _value = value;

    public uint Index => (uint)(_value & 0xFF);

    public bool HasNone => (_value & 0x100) != 0;
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

    /// <summary>Flags: a driver writes.</summary>
    public const uint Writable = 0;

    /// <summary>Flags: a front-end writes what a driver wrote, or found, before a migration.</summary>
    public const uint Migration = 1;

    public readonly uint Offset = offset;
    public readonly uint Size = size;
    public readonly uint Flags = flags;
}

/// <summary>SET_DEVICE_STATE_FD: which way the state goes, and when in a migration.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct DeviceStateTransfer(uint direction, uint phase)
{
    public const int Bytes = 8;

    /// <summary>Direction: from the back-end.</summary>
    public const uint Save = 0;

    /// <summary>Direction: to the back-end.</summary>
    public const uint Load = 1;

    /// <summary>Phase: the device is suspended. There is no other.</summary>
    public const uint Stopped = 0;

    /// <summary>In the answer: no file descriptor comes along. The lowest 8 bits are 0 on success.</summary>
    public const ulong NoFd = 0x100;

    /// <summary>In the answer: the mask of the error.</summary>
    public const ulong Error = 0xFF;

    public readonly uint Direction = direction;
    public readonly uint Phase = phase;
}

/// <summary>SET_LOG_BASE: where the log of dirty pages lies in its file. The bit of guest address 0 is the first.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct LogDescription(ulong mmapSize, ulong mmapOffset)
{
    public const int Bytes = 16;

    public readonly ulong MmapSize = mmapSize;
    public readonly ulong MmapOffset = mmapOffset;
}

/// <summary>The buffer for in-flight tracking: GET_INFLIGHT_FD, SET_INFLIGHT_FD. 20 bytes of fields, 24 on the wire.</summary>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal readonly struct InflightDescription(ulong mmapSize, ulong mmapOffset, ushort numQueues, ushort queueSize)
{
    public const int Bytes = 24;

    public readonly ulong MmapSize = mmapSize;
    public readonly ulong MmapOffset = mmapOffset;
    public readonly ushort NumQueues = numQueues;
    public readonly ushort QueueSize = queueSize;
}

/// <summary>IOTLB_MSG in both directions (struct vhost_iotlb_msg). 26 bytes of fields, 32 on the wire.</summary>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal readonly struct IotlbPayload(ulong iova, ulong size, ulong userAddress, MemoryAccess permission, IotlbType type)
{
    public const int Bytes = 32;

    public readonly ulong Iova = iova;
    public readonly ulong Size = size;
    public readonly ulong UserAddress = userAddress;
    public readonly MemoryAccess Permission = permission;
    public readonly IotlbType Type = type;
}

/// <summary>What an IOTLB_MSG is about.</summary>
internal enum IotlbType : byte
{
    /// <summary>The back-end lacks a translation.</summary>
    Miss = 1,
    /// <summary>The front-end gives one.</summary>
    Update = 2,
    /// <summary>The front-end takes some away.</summary>
    Invalidate = 3,
    /// <summary>The back-end may not do with memory what its driver wanted.</summary>
    AccessFail = 4,
}
