namespace VirtioSharp.Core.Driver;

/// <summary>What an available buffer notification says (§2.9): the queue and, with NOTIFICATION_DATA, where the next chain will be.</summary>
/// <param name="Queue">The virtqueue's index.</param>
/// <param name="Next">Split: the next available index. Packed: the next entry, and the wrap counter in bit 15.</param>
public readonly record struct QueueNotification(ushort Queue, ushort Next)
{
    /// <summary>The 32-bit value that a driver writes when NOTIFICATION_DATA is negotiated: <c>vqn:16 next_off:15 next_wrap:1</c>.</summary>
    public uint ToData() => Queue | (uint)Next << 16;

    /// <summary>The notification that such a value stands for.</summary>
    public static QueueNotification FromData(uint data) => new((ushort)data, (ushort)(data >> 16));
}
