using VirtioSharp.Core.Device;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Mmio;

/// <summary>How a device is shown through a virtio-mmio window.</summary>
public sealed record MmioFunctionOptions
{
    /// <summary>Ring features of legacy devices: those that have the same meaning there.</summary>
    private static readonly FeatureSet LegacyRing = Features.IndirectDesc | Features.EventIdx;

    /// <summary>Which register layout.</summary>
    public MmioVersion Version { get; init; } = MmioVersion.Current;

    /// <summary>What VendorID reads.</summary>
    public uint VendorId { get; init; } = 0x5056_5356; // "VSVP"

    /// <summary>How the device is hosted. Whether legacy drivers are let in depends on <see cref="Version"/> alone.</summary>
    public DeviceHostOptions Host { get; init; } = new();

    /// <summary>With what the version allows.</summary>
    internal DeviceHostOptions EffectiveHost => Version == MmioVersion.Current
        ? Host with { AllowLegacy = false, RingFeatures = Host.RingFeatures - Features.LegacyOnly }
        : Host with
        {
            AllowLegacy = true,
            // §6.3: a device without VERSION_1 offers ANY_LAYOUT. Ours see no framing at all, so they can.
            RingFeatures = (Host.RingFeatures & LegacyRing) | Features.LegacyOnly,
        };
}
