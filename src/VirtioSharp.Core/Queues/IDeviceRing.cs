using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>The device's end of one ring format. Implemented by structs, so that a queue's loop is compiled for each format.</summary>
/// <remarks>
/// Single-threaded. No decision rests on two reads of the same field, and no index from the ring is used before it was
/// checked. A chain that turns out to be unusual is forgotten and read anew, as if for the first time.
/// </remarks>
internal interface IDeviceRing<TSelf>
    where TSelf : struct, IDeviceRing<TSelf>
{
    /// <summary>Whether what the device writes is to be noted: all else is compiled away.</summary>
    static virtual bool IsLogged => false;

    /// <summary>Where the used entries of this format lie.</summary>
    static abstract UsedEntries Entries { get; }

    /// <summary>Takes hold of a ring that the driver has laid out.</summary>
    /// <exception cref="QueueException">A size, alignment or address cannot be: the message names the field.</exception>
    static abstract TSelf Attach(in QueueLayout layout, ref GuestMemory memory, QueueOptions options, QueueSnapshot at);

    /// <summary>Where the device stands; <see cref="Attach"/> goes on from there.</summary>
    QueueSnapshot Snapshot { get; }

    /// <summary>The used entry that is written next.</summary>
    int UsedPosition { get; }

    /// <summary>Chains that an earlier life of the device took and did not complete; they are popped first.</summary>
    int Owed { get; }

    /// <summary>Takes the next available chain. Its buffers, or its fault, are in <paramref name="segments"/>.</summary>
    /// <returns>False when nothing is available.</returns>
    /// <exception cref="QueueException">The ring itself is broken; nothing in it can be trusted any more.</exception>
    bool TryPop(ref GuestMemory memory, ref ChainSegments segments, out RingChain chain);

    /// <summary>Makes the chain popped last available again. Only before anything else is popped.</summary>
    void UndoPop(RingChain chain);

    /// <summary>Puts a chain into the used ring; the driver sees it with the next <see cref="Publish"/>.</summary>
    void Push(RingChain chain, uint written);

    /// <summary>Shows the driver all that was pushed since the last time.</summary>
    /// <returns>Whether the driver wants a used buffer notification for it.</returns>
    bool Publish();

    /// <summary>Asks the driver not to notify: the device is looking anyway.</summary>
    void SuppressNotifications();

    /// <summary>Asks the driver to notify again.</summary>
    /// <returns>True when a chain became available in between: look again, no notification will come for it.</returns>
    bool RearmNotifications();

    /// <summary>Whether a chain is available, without taking it.</summary>
    bool HasAvailable();
}

/// <summary>Where the used entries of a ring format lie.</summary>
/// <param name="AreInDescriptorArea">Whether they overwrite descriptors; if not, they are in the device area.</param>
/// <param name="Offset">Where the first starts there.</param>
/// <param name="Bytes">The size of one.</param>
internal readonly record struct UsedEntries(bool AreInDescriptorArea, int Offset, int Bytes);
