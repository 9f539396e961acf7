namespace VirtioSharp.Core.Queues;

/// <summary>What one queue has done since its device was made. Counts survive a reset.</summary>
/// <param name="Notifications">Times the device was told to look (kicks).</param>
/// <param name="Chains">Chains completed, faulty ones included.</param>
/// <param name="FaultyChains">Chains answered with length 0 because they were wrong.</param>
/// <param name="BytesWritten">Bytes written for the driver.</param>
/// <param name="Interrupts">Used buffer notifications sent.</param>
/// <param name="SuppressedInterrupts">Publications for which the driver wanted none.</param>
/// <param name="Postponed">Times a chain was given back to be served later.</param>
public readonly record struct QueueStatistics(
    ulong Notifications,
    ulong Chains,
    ulong FaultyChains,
    ulong BytesWritten,
    ulong Interrupts,
    ulong SuppressedInterrupts,
    ulong Postponed)
{
    /// <summary>What was added since <paramref name="earlier"/>.</summary>
    public QueueStatistics Since(QueueStatistics earlier) => new(
        Notifications - earlier.Notifications,
        Chains - earlier.Chains,
        FaultyChains - earlier.FaultyChains,
        BytesWritten - earlier.BytesWritten,
        Interrupts - earlier.Interrupts,
        SuppressedInterrupts - earlier.SuppressedInterrupts,
        Postponed - earlier.Postponed);
}
