using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>How a device is hosted.</summary>
public sealed record DeviceHostOptions
{
    /// <summary>All that the rings here can do with a driver that is not legacy. NOTIFICATION_DATA and RING_RESET need a transport that can, too.</summary>
    public static FeatureSet AllRingFeatures { get; } =
        Features.Version1 | Features.IndirectDesc | Features.EventIdx | Features.RingPacked | Features.InOrder
        | Features.NotificationData | Features.RingReset;

    /// <summary>Ring and transport features that the host offers beside the device's own.</summary>
    public FeatureSet RingFeatures { get; init; } = AllRingFeatures;

    /// <summary>Features not to offer, though the device or the host has them.</summary>
    public FeatureSet WithheldFeatures { get; init; }

    /// <summary>Whether a driver may go without VERSION_1: the transport has a legacy interface.</summary>
    public bool AllowLegacy { get; init; }

    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Puts something before the transport's interrupts, to watch them. It gets the transport's.</summary>
    public Func<IInterrupt, IInterrupt>? WatchInterrupts { get; init; }

    /// <summary>Is told of faults.</summary>
    public IDeviceObserver? Observer { get; init; }
}
