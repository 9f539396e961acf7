using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>What a back-end offers of the protocol. What is not implemented cannot be switched on.</summary>
public sealed record VhostUserOptions
{
    /// <summary>Everything that works here.</summary>
    public const ProtocolFeatures Implemented = ProtocolRules.AtBothEnds | ProtocolFeatures.LogShmfd;

    /// <summary>What works, too, and is offered only if it is asked for: there are front-ends that accept INBAND_NOTIFICATIONS without
    /// having it (QEMU).</summary>
    public const ProtocolFeatures Optional = ProtocolRules.Optional;

    /// <summary>Which of <see cref="Optional"/> to offer.</summary>
    public ProtocolFeatures Added { get; init; }

    /// <summary>What to keep back, for a front-end that is better off without it.</summary>
    public ProtocolFeatures Withheld { get; init; }

    /// <summary>What the rings here can do, which is offered beside a device's own features.</summary>
    public static FeatureSet RingFeatures { get; } =
        Features.Version1 | Features.IndirectDesc | Features.EventIdx | Features.NotifyOnEmpty | Features.AnyLayout | Features.RingPacked | Features.InOrder
        | Features.AccessPlatform;

    /// <summary>What ACCESS_PLATFORM needs of the protocol: a back-end asks for what the IOTLB lacks, and its front-end awaits answers.</summary>
    internal const ProtocolFeatures IotlbNeeds = ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq;

    /// <summary>Features of the device and the rings not to offer.</summary>
    public FeatureSet WithheldFeatures { get; init; }

    /// <summary>How long to look for more requests before the loop sleeps, while they come in such quick succession; zero always
    /// sleeps at once.</summary>
    public TimeSpan BusyPoll { get; init; } = DefaultBusyPoll;

    /// <summary>What is offered with a device.</summary>
    internal ProtocolFeatures Offered(DeviceTraits device)
    {
        ProtocolFeatures offered = ProtocolRules.Chosen(Implemented, Added, Withheld);
        if (device.ConfigurationSize == 0)
            offered &= ~ProtocolFeatures.Config; // there is none to read, and QEMU warns of it
        return ProtocolRules.WithWhatTheyNeed(offered);
    }

    /// <summary>100 µs: a guest that waits for each answer asks again sooner, and a sleep and a wake-up would double its wait.</summary>
    public static TimeSpan DefaultBusyPoll { get; } = TimeSpan.FromMicroseconds(100);
}
