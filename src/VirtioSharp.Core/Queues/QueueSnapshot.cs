namespace VirtioSharp.Core.Queues;

/// <summary>Where a device stands in a queue with nothing in flight: enough to go on later, or elsewhere (a stop, a migration).</summary>
/// <remarks>
/// The default is the beginning. A split ring needs only <see cref="NextAvailable"/>: its used index is in the ring.
/// A packed ring shows neither position, so both are kept, with how often each has gone round, modulo 2
/// (a wrap counter is 1 when that is even).
/// </remarks>
/// <param name="NextAvailable">Split: the available index, modulo 2^16. Packed: the entry to look at next.</param>
/// <param name="AvailableTurn">Packed: whether it has gone round an odd number of times.</param>
/// <param name="NextUsed">Packed: the entry to write next.</param>
/// <param name="UsedTurn">Packed: whether that has gone round an odd number of times.</param>
public readonly record struct QueueSnapshot(ushort NextAvailable, bool AvailableTurn = false, ushort NextUsed = 0, bool UsedTurn = false)
{
    /// <summary>vhost-user's vring base: 16 bits of available index, or two halves of 15 bits and a wrap counter.</summary>
    public uint ToVringBase(bool packed) => packed
        ? Half(NextAvailable, AvailableTurn) | Half(NextUsed, UsedTurn) << 16
        : NextAvailable;

    /// <summary>The snapshot that a vring base stands for.</summary>
    public static QueueSnapshot FromVringBase(uint value, bool packed) => packed
        ? new((ushort)(value & 0x7FFF), (value & 0x8000) == 0, (ushort)(value >> 16 & 0x7FFF), value >> 31 == 0)
        : new((ushort)value);

    private static uint Half(ushort position, bool turn) => position | (turn ? 0u : 0x8000u);
}
