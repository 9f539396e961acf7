using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Block;

/// <summary>The block driver as a bus knows it: makes a <see cref="BlockDriver"/> of each block device, to be found in <see cref="BusDevice.Bound"/>.</summary>
/// <param name="options">How to drive each of them.</param>
public sealed class VirtioBlock(BlockDriverOptions? options = null) : VirtioDriver
{
    private static readonly FeatureSet Known =
        BlockFeatures.SizeMax | BlockFeatures.SegMax | BlockFeatures.Geometry | BlockFeatures.ReadOnly | BlockFeatures.BlockSize
        | BlockFeatures.Flush | BlockFeatures.Topology | BlockFeatures.ConfigWriteback | BlockFeatures.MultiQueue
        | BlockFeatures.Discard | BlockFeatures.WriteZeroes;

    /// <inheritdoc/>
    public override string Name => "virtio_blk";

    /// <inheritdoc/>
    public override IReadOnlyList<DeviceMatch> Devices { get; } = [new(DeviceId.Block)];

    /// <inheritdoc/>
    public override DriverFeatures Features { get; } = new(Known) { Withheld = options?.Withheld ?? default };

    /// <inheritdoc/>
    public override BoundDevice Probe(DriverSession session) => new BlockDriver(session, options);
}
