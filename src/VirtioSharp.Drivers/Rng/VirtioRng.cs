using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Spec;

namespace VirtioSharp.Drivers.Rng;

/// <summary>The entropy driver as a bus knows it: makes an <see cref="RngDriver"/> of each entropy device, to be found in <see cref="BusDevice.Bound"/>.</summary>
/// <param name="bufferSize">Bytes to ask a device for at a time.</param>
public sealed class VirtioRng(int bufferSize = RngDriver.DefaultBufferSize) : VirtioDriver
{
    /// <inheritdoc/>
    public override string Name => "virtio_rng";

    /// <inheritdoc/>
    public override IReadOnlyList<DeviceMatch> Devices { get; } = [new(DeviceId.Entropy)];

    /// <inheritdoc/>
    public override BoundDevice Probe(DriverSession session) => new RngDriver(session, bufferSize);
}
