using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Queues;

/// <summary>The negotiated features that change how a ring works, as plain booleans for the hot path.</summary>
internal readonly record struct QueueOptions(bool Indirect, bool EventIdx, bool NotifyOnEmpty = false, bool InOrder = false)
{
    /// <summary>0, or the driver's ring lies in one piece with its device area aligned to this (§2.7.2).</summary>
    public int LegacyAlignment { get; init; }

    /// <summary>Where the device notes what is in flight, if it does.</summary>
    public InflightRegion? Inflight { get; init; }

    /// <summary>Where the device notes what it writes, if it does.</summary>
    public DirtyLog? Log { get; init; }

    /// <summary>Where its writes to the ring are noted, if they are: as if the device area started at this guest address.</summary>
    public GuestAddress? RingLog { get; init; }

    public static QueueOptions From(FeatureSet features) => new(
        features.Has(Features.IndirectDesc),
        features.Has(Features.EventIdx),
        features.Has(Features.NotifyOnEmpty),
        features.Has(Features.InOrder));
}
