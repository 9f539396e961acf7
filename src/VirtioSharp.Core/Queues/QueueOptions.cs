using VirtioSharp.Spec;

namespace VirtioSharp.Core.Queues;

/// <summary>The negotiated features that change how a ring works, as plain booleans for the hot path.</summary>
internal readonly record struct QueueOptions(bool Indirect, bool EventIdx, bool NotifyOnEmpty = false, bool InOrder = false)
{
    public static QueueOptions From(FeatureSet features) => new(
        features.Has(Features.IndirectDesc),
        features.Has(Features.EventIdx),
        features.Has(Features.NotifyOnEmpty),
        features.Has(Features.InOrder));
}
