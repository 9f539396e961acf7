using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>The driver's end of one ring format; the mirror of <see cref="IDeviceRing{TSelf}"/>.</summary>
/// <remarks>Single-threaded. What the device writes is checked against a private record of what was added.</remarks>
internal interface IDriverRing<TSelf>
    where TSelf : struct, IDriverRing<TSelf>
{
    /// <summary>Lays out a new, empty ring in <paramref name="arena"/>.</summary>
    static abstract TSelf Create(int size, DmaArena arena, QueueOptions options);

    /// <summary>Where the ring lies, for the device.</summary>
    QueueLayout Layout { get; }

    /// <summary>Descriptors that are free: at least as many chains of one buffer can be added.</summary>
    int Free { get; }

    /// <summary>What NOTIFICATION_DATA tells the device: where the next chain will be made available (§2.9).</summary>
    ushort NotificationPosition { get; }

    /// <summary>Adds one chain; the device sees it with the next <see cref="Publish"/>.</summary>
    /// <param name="readable">What the device reads, …</param>
    /// <param name="writable">… and where it writes, behind it (§2.6.4). At least one buffer in all.</param>
    /// <param name="id">Its name until it is used.</param>
    /// <returns>False when the ring is too full for it.</returns>
    bool TryAdd(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable, out ushort id);

    /// <summary>Shows the device all that was added since the last time.</summary>
    /// <returns>Whether the device wants an available buffer notification for it.</returns>
    bool Publish();

    /// <summary>Takes the next used chain.</summary>
    /// <param name="id">What <see cref="TryAdd"/> called it.</param>
    /// <param name="length">Bytes written, at most what the chain had room for, whatever the device says.</param>
    /// <returns>False when nothing is used.</returns>
    /// <exception cref="Errors.QueueException">The device used what was never given to it.</exception>
    bool TryGet(out ushort id, out uint length);

    /// <summary>Asks the device not to interrupt.</summary>
    void SuppressInterrupts();

    /// <summary>Asks the device to interrupt again.</summary>
    /// <returns>True when something was used in between: look again, no interrupt will come for it.</returns>
    bool RearmInterrupts();

    /// <inheritdoc cref="DriverQueue.ResumeAt"/>
    QueueSnapshot ResumeAt(bool isTracked);
}
