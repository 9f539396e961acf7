using VirtioSharp.Core.Errors;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>Which protocol features there are here, and which mean nothing without others.</summary>
internal static class ProtocolRules
{
    /// <summary>What works at the back-end and at the front-end.</summary>
    public const ProtocolFeatures AtBothEnds =
        ProtocolFeatures.Mq | ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq | ProtocolFeatures.Config
        | ProtocolFeatures.InflightShmfd | ProtocolFeatures.ResetDevice | ProtocolFeatures.ConfigureMemSlots | ProtocolFeatures.Status
        | ProtocolFeatures.DeviceState | ProtocolFeatures.GetVringBaseInflight | ProtocolFeatures.GpaAddresses;

    /// <summary>What works, too, and has to be asked for.</summary>
    public const ProtocolFeatures Optional = ProtocolFeatures.InbandNotifications;

    private static readonly (ProtocolFeatures Feature, ProtocolFeatures Needs)[] All =
    [
        (ProtocolFeatures.GetVringBaseInflight, ProtocolFeatures.InflightShmfd),
        (ProtocolFeatures.InbandNotifications, ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq),
    ];

    /// <summary>What is implemented and was not withheld, and what was asked for.</summary>
    public static ProtocolFeatures Chosen(ProtocolFeatures implemented, ProtocolFeatures added, ProtocolFeatures withheld) =>
        (implemented | (added & Optional)) & ~withheld;

    /// <summary>Leaves out those that lack what they need.</summary>
    public static ProtocolFeatures WithWhatTheyNeed(ProtocolFeatures features)
    {
        foreach ((ProtocolFeatures feature, ProtocolFeatures needs) in All)
            if ((features & needs) != needs)
                features &= ~feature;
        return features;
    }

    /// <exception cref="TransportException">One lacks what it needs: closing the connection is the only way to say so ("In-band notifications").</exception>
    public static void MustHaveWhatTheyNeed(ProtocolFeatures features)
    {
        foreach ((ProtocolFeatures feature, ProtocolFeatures needs) in All)
            if ((features & feature) != 0 && (needs & ~features) is not 0 and var missing)
                throw new TransportException($"SET_PROTOCOL_FEATURES accepts {feature} without {missing}");
    }
}
