namespace VirtioSharp.Spec.Packed;

/// <summary>Where things lie in a packed virtqueue of N entries, and how to read them (§2.8).</summary>
/// <remarks>
/// <code>
/// descriptor ring   16·N bytes, align 16    { addr:64 len:32 id:16 flags:16 } × N     flags: 7 AVAIL, 15 USED
/// driver area          4 bytes, align 4     off:15 wrap:1 flags:2                     when the driver wants interrupts
/// device area          4 bytes, align 4     off:15 wrap:1 flags:2                     when the device wants kicks
/// </code>
/// Each end has a wrap counter that starts at 1 and flips when it passes the end of the ring. A descriptor is available
/// when AVAIL equals the driver's counter and USED does not; it is used when both equal the device's.
/// </remarks>
public static class PackedLayout
{
    /// <summary>The largest queue; any number below is allowed (§2.8.10.1).</summary>
    public const int MaxQueueSize = 32768;

    /// <summary>Alignment of the descriptor ring, in bytes.</summary>
    public const int DescriptorRingAlignment = 16;

    /// <summary>Alignment and size of either event suppression structure, in bytes.</summary>
    public const int EventBytes = 4;

    /// <summary>Offset of the event's flags; its offset and wrap counter are at 0.</summary>
    public const int EventFlagsOffset = 2;

    /// <summary><c>RING_EVENT_FLAGS_ENABLE</c>.</summary>
    public const ushort EventEnable = 0;

    /// <summary><c>RING_EVENT_FLAGS_DISABLE</c>.</summary>
    public const ushort EventDisable = 1;

    /// <summary><c>RING_EVENT_FLAGS_DESC</c>: only when this descriptor is passed; needs EVENT_IDX.</summary>
    public const ushort EventDescriptor = 2;

    private const DescriptorFlags Both = DescriptorFlags.Available | DescriptorFlags.Used;

    /// <summary>Whether a packed queue may have this size: 1–32768.</summary>
    public static bool IsValidSize(int size) => size is > 0 and <= MaxQueueSize;

    /// <summary>Bytes in the descriptor ring.</summary>
    public static int DescriptorRingBytes(int size) => PackedDescriptor.Size * size;

    /// <summary>AVAIL and USED of a descriptor that the driver makes available.</summary>
    public static DescriptorFlags AvailableFlags(bool wrapCounter) => wrapCounter ? DescriptorFlags.Available : DescriptorFlags.Used;

    /// <summary>AVAIL and USED of a descriptor that the device has used.</summary>
    public static DescriptorFlags UsedFlags(bool wrapCounter) => wrapCounter ? Both : DescriptorFlags.None;

    /// <summary>Whether a descriptor is available to a device whose wrap counter this is.</summary>
    public static bool IsAvailable(DescriptorFlags flags, bool wrapCounter) => (flags & Both) == AvailableFlags(wrapCounter);

    /// <summary>Whether a descriptor is used, for a driver whose wrap counter this is.</summary>
    public static bool IsUsed(DescriptorFlags flags, bool wrapCounter) => (flags & Both) == UsedFlags(wrapCounter);

    /// <summary>The event's first field: an offset, and the wrap counter in bit 15.</summary>
    public static ushort EventPosition(int offset, bool wrapCounter) => (ushort)(offset | (wrapCounter ? 0x8000 : 0));

    /// <summary>Whether moving from <paramref name="old"/> to <paramref name="current"/> passed the peer's event (§2.8.21.3.1 has the same test).</summary>
    /// <param name="size">Entries of the queue.</param>
    /// <param name="eventPosition">What the peer wrote: see <see cref="EventPosition"/>.</param>
    /// <param name="current">The position after the move, and …</param>
    /// <param name="wrapCounter">… its wrap counter.</param>
    /// <param name="old">The position before the move, which was by 1 to <paramref name="size"/> entries.</param>
    public static bool ShouldNotify(int size, ushort eventPosition, int current, bool wrapCounter, int old)
    {
        int at = eventPosition & 0x7FFF;
        if (eventPosition >> 15 != (wrapCounter ? 1 : 0))
            at -= size; // it lies in the round before
        if (current <= old)
            old -= size;
        return (ushort)(current - at - 1) < (ushort)(current - old);
    }
}
