using VirtioSharp.Core.Driver;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;

namespace VirtioSharp.Drivers.Balloon;

/// <summary>Which number the balloon's optional queues have.</summary>
public enum BalloonQueueNumbers
{
    /// <summary>Each queue its own number, whether the others exist or not (§5.5.2).</summary>
    Specified,

    /// <summary>
    /// Queues whose feature the device does not offer take no number: without hinting, reporting is queue 3 and not 4.
    /// QEMU does that, and Linux's driver with it; known to be so in QEMU 7.2.
    /// </summary>
    Compacted,
}

/// <summary>The numbers of the optional queues.</summary>
internal readonly record struct BalloonQueues(int Statistics, int FreePage, int Reporting)
{
    /// <param name="numbers">How the device counts.</param>
    /// <param name="offered">What it offers: that, and not what was negotiated, makes its queues.</param>
    public static BalloonQueues For(BalloonQueueNumbers numbers, FeatureSet offered)
    {
        if (numbers == BalloonQueueNumbers.Specified)
            return new(BalloonLayout.StatisticsQueue, BalloonLayout.FreePageQueue, BalloonLayout.ReportingQueue);
        int freePage = BalloonLayout.StatisticsQueue + (offered.Has(BalloonFeatures.Statistics) ? 1 : 0);
        return new(BalloonLayout.StatisticsQueue, freePage, freePage + (offered.Has(BalloonFeatures.FreePageHint) ? 1 : 0));
    }

    /// <summary>The queues to enable.</summary>
    public IEnumerable<QueueRequest> Requests(FeatureSet negotiated)
    {
        yield return new(BalloonLayout.InflateQueue, "inflate");
        yield return new(BalloonLayout.DeflateQueue, "deflate");
        if (negotiated.Has(BalloonFeatures.Statistics))
            yield return new(Statistics, "stats");
        if (negotiated.Has(BalloonFeatures.FreePageHint))
            yield return new(FreePage, "free_page");
        if (negotiated.Has(BalloonFeatures.PageReporting))
            yield return new(Reporting, "reporting");
    }
}
