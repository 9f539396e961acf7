using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Console;

namespace VirtioSharp.Drivers.Console;

/// <summary>The console driver as a bus knows it: makes a <see cref="ConsoleDriver"/> of each console, to be found in <see cref="BusDevice.Bound"/>.</summary>
/// <param name="options">How to drive each of them.</param>
public sealed class VirtioConsole(ConsoleDriverOptions? options = null) : VirtioDriver
{
    private static readonly FeatureSet Known = ConsoleFeatures.Size | ConsoleFeatures.MultiPort | ConsoleFeatures.EmergencyWrite;

    /// <inheritdoc/>
    public override string Name => "virtio_console";

    /// <inheritdoc/>
    public override IReadOnlyList<DeviceMatch> Devices { get; } = [new(DeviceId.Console)];

    /// <inheritdoc/>
    public override DriverFeatures Features { get; } = new(Known) { Withheld = options?.Withheld ?? default };

    /// <inheritdoc/>
    public override BoundDevice Probe(DriverSession session) => new ConsoleDriver(session, options);
}
