using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>What one connection saw, from its first message to its end.</summary>
/// <param name="Device">The kind of device.</param>
/// <param name="Messages">How often each message came, by the specification's name.</param>
/// <param name="DriverFeatures">The last features that the driver accepted.</param>
/// <param name="ProtocolFeatures">The last protocol features that the front-end accepted.</param>
/// <param name="RingStarts">How often a ring was started: for each driver that came up, and each time a stopped VM went on.</param>
/// <param name="MemoryRegions">Most memory regions at one time.</param>
/// <param name="Queues">Each queue's size when it last ran, and its counts.</param>
/// <param name="Faults">How often each kind of fault was met.</param>
/// <param name="Ended">Why the connection ended: null when the front-end closed it in good order.</param>
public sealed record SessionReport(
    DeviceId Device,
    IReadOnlyDictionary<string, int> Messages,
    FeatureSet DriverFeatures,
    ProtocolFeatures ProtocolFeatures,
    int RingStarts,
    int MemoryRegions,
    IReadOnlyList<QueueReport> Queues,
    IReadOnlyDictionary<string, int> Faults,
    string? Ended)
{
    /// <summary>How often a translation was asked for, with ACCESS_PLATFORM.</summary>
    public int IotlbMisses { get; init; }
}

/// <summary>What one connection saw of one queue.</summary>
/// <param name="Name">The queue's name.</param>
/// <param name="Size">Its entries when it last ran; 0 when it never did.</param>
/// <param name="Counts">What was done in it during this connection.</param>
public sealed record QueueReport(string Name, int Size, QueueStatistics Counts);
