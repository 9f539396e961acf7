using System.Runtime.InteropServices;

namespace VirtioSharp.Core.Queues;

// The in-flight region of one queue as the vhost-user specification lays it out, native endian. Sizes are asserted by a test.

/// <summary>What stands before the states of a split ring's descriptors.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct QueueRegionSplit
{
    /// <summary>Where the version is, in both formats.</summary>
    public const int VersionOffset = 8;

    /// <summary>The version there is; 0 is a region that nobody has used yet.</summary>
    public const ushort CurrentVersion = 1;

    public ulong Features;
    public ushort Version;
    public ushort DescNum;
    public ushort LastBatchHead;
    public ushort UsedIdx;
}

/// <summary>The state of one descriptor of a split ring; that of a chain is in its head's.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct DescStateSplit
{
    [FieldOffset(0)]
    public byte Inflight;

    /// <summary>The next of the last batch that was used.</summary>
    [FieldOffset(6)]
    public ushort Next;

    /// <summary>The order in which chains were taken.</summary>
    [FieldOffset(8)]
    public ulong Counter;
}

/// <summary>What stands before the states of a packed ring's descriptors.</summary>
/// <remarks>
/// The four fields that say how far the ring was used lie in one aligned word (<see cref="Used"/>) and are written together:
/// field by field, a death between index and wrap counter could be mistaken for a batch that was not shown.
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct QueueRegionPacked
{
    [FieldOffset(0)]
    public ulong Features;

    [FieldOffset(8)]
    public ushort Version;

    [FieldOffset(10)]
    public ushort DescNum;

    [FieldOffset(12)]
    public ushort FreeHead;

    [FieldOffset(14)]
    public ushort OldFreeHead;

    /// <summary><c>used_idx</c>, <c>old_used_idx</c>, <c>used_wrap_counter</c>, <c>old_used_wrap_counter</c>, from the lowest byte on.</summary>
    [FieldOffset(16)]
    public ulong Used;
}

/// <summary>A descriptor that was taken from a packed ring, or a place for one.</summary>
[StructLayout(LayoutKind.Explicit, Size = 32)]
internal struct DescStatePacked
{
    [FieldOffset(0)]
    public byte Inflight;

    /// <summary>The next of the chain, or the next that is free.</summary>
    [FieldOffset(2)]
    public ushort Next;

    /// <summary>The last of the chain.</summary>
    [FieldOffset(4)]
    public ushort Last;

    /// <summary>How many the chain has.</summary>
    [FieldOffset(6)]
    public ushort Num;

    /// <summary>The order in which chains were taken.</summary>
    [FieldOffset(8)]
    public ulong Counter;

    [FieldOffset(16)]
    public ushort Id;

    [FieldOffset(18)]
    public ushort Flags;

    [FieldOffset(20)]
    public uint Length;

    [FieldOffset(24)]
    public ulong Address;
}
