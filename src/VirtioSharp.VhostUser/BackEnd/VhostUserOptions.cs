using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.BackEnd;

/// <summary>What a back-end offers of the protocol. What is not implemented cannot be switched on.</summary>
public sealed record VhostUserOptions
{
    /// <summary>Everything that works here.</summary>
    public const ProtocolFeatures Implemented =
        ProtocolFeatures.Mq | ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq | ProtocolFeatures.Config
        | ProtocolFeatures.ResetDevice | ProtocolFeatures.ConfigureMemSlots | ProtocolFeatures.Status;

    /// <summary>What to keep back, for a front-end that is better off without it.</summary>
    public ProtocolFeatures Withheld { get; init; }

    /// <summary>How long to look for more requests before the loop sleeps; zero sleeps at once.</summary>
    public TimeSpan BusyPoll { get; init; }
}
