using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>How a front-end deals with its back-end.</summary>
public sealed record VhostUserFrontEndOptions
{
    /// <summary>Everything that works here.</summary>
    public const ProtocolFeatures Implemented =
        ProtocolFeatures.Mq | ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq | ProtocolFeatures.Config
        | ProtocolFeatures.InflightShmfd | ProtocolFeatures.ResetDevice | ProtocolFeatures.ConfigureMemSlots | ProtocolFeatures.Status
        | ProtocolFeatures.DeviceState | ProtocolFeatures.GetVringBaseInflight | ProtocolFeatures.GpaAddresses;

    /// <summary>What works, too, and is used only if it is asked for: there are front-ends that accept INBAND_NOTIFICATIONS without having it
    /// (QEMU), and messages are slower than eventfds.</summary>
    public const ProtocolFeatures Optional = ProtocolFeatures.InbandNotifications;

    /// <summary>Which of <see cref="Optional"/> to accept, if they are offered.</summary>
    public ProtocolFeatures Added { get; init; }

    /// <summary>Parts of the protocol not to accept, though offered.</summary>
    public ProtocolFeatures Withheld { get; init; }

    internal ProtocolFeatures Accepted => (Implemented | (Added & Optional)) & ~Withheld;

    /// <summary>Features of the device and the rings not to show the driver, though offered.</summary>
    public FeatureSet WithheldFeatures { get; init; }

    /// <summary>Memory for the driver's rings and buffers. What is not used costs nothing.</summary>
    public int MemoryBytes { get; init; } = 16 << 20;

    /// <summary>Most entries of a queue: the protocol does not tell what the back-end can take.</summary>
    public int MaxQueueSize { get; init; } = 256;

    /// <summary>Puts an IOMMU between the back-end and the driver's memory, if that can be (ACCESS_PLATFORM, REPLY_ACK and BACKEND_REQ are
    /// offered): it sees only what it asks for, in translations of so many bytes, a power of two from 4096 on. 0 does not.</summary>
    public int IotlbEntryBytes { get; init; }

    /// <summary>The longest to wait for the answer to a message.</summary>
    public TimeSpan ReplyTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long to try to reach a back-end again that closed the connection; zero does not try. Only one with a socket's path can be.</summary>
    public TimeSpan ReconnectTimeout { get; init; }

    /// <summary>
    /// Whether each queue may have a thread of its own that adds to it, kicks it and waits for it, beside the one thread that
    /// does all the rest. A wait for one queue then waits for nothing else, and only the other thread learns that the back-end has left. Not
    /// together with <see cref="ReconnectTimeout"/>: a ring is not resumed under its thread.
    /// </summary>
    public bool HasThreadPerQueue { get; init; }

    /// <summary>The clock that time limits are measured by; waiting itself takes real time.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}
