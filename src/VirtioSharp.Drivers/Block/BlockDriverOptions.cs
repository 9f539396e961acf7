using VirtioSharp.Spec;

namespace VirtioSharp.Drivers.Block;

/// <summary>How a block device is driven.</summary>
public sealed record BlockDriverOptions
{
    /// <summary>Most queues to use; the device may have fewer.</summary>
    public int MaxQueues { get; init; } = 4;

    /// <summary>Most entries of each queue.</summary>
    public int QueueSize { get; init; } = 128;

    /// <summary>Memory that blocking calls copy through, a multiple of 512 bytes: how much they have in flight.</summary>
    public int CopyBytes { get; init; } = 256 * 1024;

    /// <summary>The longest a blocking call waits for an answer.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Features not to accept, though understood.</summary>
    public FeatureSet Withheld { get; init; }
}
