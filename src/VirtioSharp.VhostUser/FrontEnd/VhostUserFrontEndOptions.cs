using System.Numerics;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>How a front-end deals with its back-end.</summary>
public sealed record VhostUserFrontEndOptions
{
    /// <summary>Everything that works here.</summary>
    public const ProtocolFeatures Implemented = ProtocolRules.AtBothEnds;

    /// <summary>What works, too, and is used only if it is asked for: messages are slower than eventfds.</summary>
    public const ProtocolFeatures Optional = ProtocolRules.Optional;

    private const int SmallestEntry = 4096;

    /// <summary>Which of <see cref="Optional"/> to accept, if they are offered.</summary>
    public ProtocolFeatures Added { get; init; }

    /// <summary>Parts of the protocol not to accept, though offered.</summary>
    public ProtocolFeatures Withheld { get; init; }

    internal ProtocolFeatures Accepted => ProtocolRules.Chosen(Implemented, Added, Withheld);

    /// <summary>Features of the device and the rings not to show the driver, though offered.</summary>
    public FeatureSet WithheldFeatures { get; init; }

    /// <summary>Memory for the driver's rings and buffers. What is not used costs nothing.</summary>
    public int MemoryBytes { get; init; } = 16 << 20;

    /// <summary>Most entries of a queue: the protocol does not tell what the back-end can take.</summary>
    public int MaxQueueSize { get; init; } = 256;

    /// <summary>Puts an IOMMU between the back-end and the driver's memory, if that can be (ACCESS_PLATFORM, REPLY_ACK and BACKEND_REQ are
    /// offered): it sees only what it asks for, in translations of so many bytes, a power of two from 4096 on. 0 does not. Whoever
    /// waits here gives them, so somebody must at all times, or the back-end comes no further.</summary>
    public int IotlbEntryBytes { get; init; }

    /// <summary>The longest to wait for the answer to a message.</summary>
    public TimeSpan ReplyTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long to try to reach a back-end again that closed the connection; zero does not try. Only one with a socket's path can be.</summary>
    public TimeSpan ReconnectTimeout { get; init; }

    /// <summary>
    /// Whether each queue may have a thread of its own that adds to it, kicks it and waits for it, beside the one thread that
    /// does all the rest. A wait for one queue then waits for nothing else: only the other thread learns that the back-end has left, and
    /// with <see cref="IotlbEntryBytes"/> it must wait all the time, to give translations. Not together with
    /// <see cref="ReconnectTimeout"/>: a ring is not resumed under its thread. Nor with INBAND_NOTIFICATIONS: the socket is one thread's.
    /// </summary>
    public bool HasThreadPerQueue { get; init; }

    /// <summary>The clock that time limits are measured by; waiting itself takes real time.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <exception cref="ArgumentException">They are not.</exception>
    internal void MustBePossible()
    {
        if (IotlbEntryBytes != 0 && (IotlbEntryBytes < SmallestEntry || !BitOperations.IsPow2(IotlbEntryBytes)))
            throw new ArgumentException($"{nameof(IotlbEntryBytes)} = {IotlbEntryBytes} is no size of a translation: a power of two from {SmallestEntry} on, or 0");
        if (HasThreadPerQueue && (Accepted & ProtocolFeatures.InbandNotifications) != 0)
            throw new ArgumentException($"{nameof(HasThreadPerQueue)} together with {ProtocolFeatures.InbandNotifications}: kicks would share one socket with all else, and that is one thread's. Leave one of them out");
        if (HasThreadPerQueue && ReconnectTimeout > TimeSpan.Zero)
            throw new ArgumentException($"{nameof(HasThreadPerQueue)} together with {nameof(ReconnectTimeout)}: a ring is not resumed under its thread. Leave one of them out");
    }
}
