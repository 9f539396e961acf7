using VirtioSharp.Core.Errors;

namespace VirtioSharp.VhostUser.Protocol;

/// <summary>Which protocol features mean nothing without others.</summary>
internal static class ProtocolRules
{
    private static readonly (ProtocolFeatures Feature, ProtocolFeatures Needs)[] All =
    [
        (ProtocolFeatures.GetVringBaseInflight, ProtocolFeatures.InflightShmfd),
        (ProtocolFeatures.InbandNotifications, ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq),
    ];

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
