using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;

namespace VirtioSharp.Drivers.Balloon;

/// <summary>The balloon driver as a bus knows it: makes a <see cref="BalloonDriver"/> of each memory balloon, to be found in <see cref="BusDevice.Bound"/>.</summary>
public sealed class VirtioBalloon : VirtioDriver
{
    private readonly BalloonDriverOptions _options;

    /// <param name="options">How to drive each of them.</param>
    public VirtioBalloon(BalloonDriverOptions? options = null)
    {
        _options = options ?? new BalloonDriverOptions();
        Features = new DriverFeatures(Known(_options)) { Withheld = _options.Withheld };
    }

    /// <inheritdoc/>
    public override string Name => "virtio_balloon";

    /// <inheritdoc/>
    public override IReadOnlyList<DeviceMatch> Devices { get; } = [new(DeviceId.Balloon)];

    /// <inheritdoc/>
    public override DriverFeatures Features { get; }

    /// <inheritdoc/>
    public override BoundDevice Probe(DriverSession session) => new BalloonDriver(session, _options);

    /// <summary>What has no use is not accepted: a device could rely on it.</summary>
    private static FeatureSet Known(BalloonDriverOptions options) =>
        BalloonFeatures.MustTellHost | BalloonFeatures.DeflateOnOom | BalloonFeatures.FreePageHint | BalloonFeatures.PageReporting
        | (options.Statistics.Count > 0 ? BalloonFeatures.Statistics : default) | (options.Poison is null ? default : BalloonFeatures.PagePoison);
}
