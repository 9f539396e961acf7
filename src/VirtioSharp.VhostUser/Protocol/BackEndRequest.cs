namespace VirtioSharp.VhostUser.Protocol;

/// <summary>What a back-end may ask over its own socket; "Back-end message types".</summary>
public enum BackEndRequest : uint
{
    /// <summary>Not a request.</summary>
    None = 0,
    /// <summary>An IOTLB miss or access failure.</summary>
    IotlbMsg = 1,
    /// <summary>Configuration space has changed.</summary>
    ConfigChange = 2,
    /// <summary>Buffers of a ring were used (INBAND_NOTIFICATIONS).</summary>
    VringCall = 4,
    /// <summary>A ring cannot go on (INBAND_NOTIFICATIONS).</summary>
    VringErr = 5,
}
