using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>How a device is hosted.</summary>
public sealed record DeviceHostOptions
{
    /// <summary>Ring and transport features that the host offers beside the device's own.</summary>
    public FeatureSet RingFeatures { get; init; } = Features.Version1 | Features.IndirectDesc | Features.EventIdx;

    /// <summary>Whether a driver may go without VERSION_1: the transport has a legacy interface.</summary>
    public bool AllowLegacy { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Is told of faults.</summary>
    public IDeviceObserver? Observer { get; init; }
}
