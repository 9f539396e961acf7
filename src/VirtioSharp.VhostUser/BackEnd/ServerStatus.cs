using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>How a server and its device are at one moment, between two requests.</summary>
/// <param name="Device">The kind of device.</param>
/// <param name="FrontEnd">The process of the front-end that is connected; 0 when it is in another pid namespace, null when nobody is.</param>
/// <param name="Status">The device's status.</param>
/// <param name="OfferedFeatures">What the device offers.</param>
/// <param name="DriverFeatures">What the driver has accepted.</param>
/// <param name="Queues">Each queue.</param>
public sealed record ServerStatus(
    DeviceId Device,
    int? FrontEnd,
    DeviceStatus Status,
    FeatureSet OfferedFeatures,
    FeatureSet DriverFeatures,
    IReadOnlyList<QueueStatus> Queues);

/// <summary>How a queue is at one moment.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Position">Where the device stands in its ring; null when it does not run.</param>
/// <param name="InFlight">Chains that the device holds.</param>
/// <param name="Counts">What was done in it since the server began.</param>
public sealed record QueueStatus(string Name, QueueSnapshot? Position, int InFlight, QueueStatistics Counts);
