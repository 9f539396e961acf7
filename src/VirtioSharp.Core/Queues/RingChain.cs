namespace VirtioSharp.Core.Queues;

/// <summary>What a ring must know of a chain to complete it.</summary>
/// <param name="Id">Its name: the head's index in a split ring, the buffer id in a packed one. Less than the queue's size.</param>
/// <param name="Slots">Entries it takes in the descriptor ring (packed only).</param>
internal readonly record struct RingChain(ushort Id, ushort Slots);
