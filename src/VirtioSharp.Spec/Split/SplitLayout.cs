namespace VirtioSharp.Spec.Split;

/// <summary>Where things lie in a split virtqueue of N entries (§2.7).</summary>
/// <remarks>
/// <code>
/// descriptor table   16·N bytes, align 16    { addr:64 len:32 flags:16 next:16 } × N
/// driver area       6+2·N bytes, align 2     flags:16 idx:16 ring:16 × N  used_event:16
/// device area       6+8·N bytes, align 4     flags:16 idx:16 { id:32 len:32 } × N  avail_event:16
/// </code>
/// used_event and avail_event are there even when EVENT_IDX is not negotiated: that is the third 16-bit field of each.
/// </remarks>
public static class SplitLayout
{
    /// <summary>The largest queue (§2.7: a power of two, at most 2^15).</summary>
    public const int MaxQueueSize = 32768;

    /// <summary>Alignment of the descriptor table, in bytes.</summary>
    public const int DescriptorTableAlignment = 16;

    /// <summary>Alignment of the driver area (available ring), in bytes.</summary>
    public const int DriverAreaAlignment = 2;

    /// <summary>Alignment of the device area (used ring), in bytes.</summary>
    public const int DeviceAreaAlignment = 4;

    /// <summary>Offset of flags in the driver and the device area.</summary>
    public const int FlagsOffset = 0;

    /// <summary>Offset of idx in the driver and the device area.</summary>
    public const int IndexOffset = 2;

    /// <summary>Offset of the ring in the driver and the device area.</summary>
    public const int RingOffset = 4;

    /// <summary><c>VIRTQ_AVAIL_F_NO_INTERRUPT</c>, in the driver area's flags (§2.7.6).</summary>
    public const ushort NoInterrupt = 1;

    /// <summary><c>VIRTQ_USED_F_NO_NOTIFY</c>, in the device area's flags (§2.7.8).</summary>
    public const ushort NoNotify = 1;

    /// <summary>Whether a split queue may have this size: a power of two in 1–32768.</summary>
    public static bool IsValidSize(int size) => size is > 0 and <= MaxQueueSize && (size & (size - 1)) == 0;

    /// <summary>Bytes in the descriptor table.</summary>
    public static int DescriptorTableBytes(int size) => Descriptor.Size * size;

    /// <summary>Bytes in the driver area.</summary>
    public static int DriverAreaBytes(int size) => 6 + 2 * size;

    /// <summary>Bytes in the device area.</summary>
    public static int DeviceAreaBytes(int size) => 6 + 8 * size;

    /// <summary>Offset of used_event, the last field of the driver area (§2.7.6).</summary>
    public static int UsedEventOffset(int size) => RingOffset + 2 * size;

    /// <summary>Offset of avail_event, the last field of the device area (§2.7.8).</summary>
    public static int AvailEventOffset(int size) => RingOffset + 8 * size;

    /// <summary>Whether moving an index from <paramref name="old"/> to <paramref name="current"/> passed the peer's event (§2.7.7.1, §2.7.10.1).</summary>
    /// <remarks>A range test and not equality: a batch may step over the event.</remarks>
    public static bool ShouldNotify(ushort eventIndex, ushort current, ushort old) =>
        (ushort)(current - eventIndex - 1) < (ushort)(current - old);
}
