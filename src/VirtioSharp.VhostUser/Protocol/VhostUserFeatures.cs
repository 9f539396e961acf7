namespace VirtioSharp.VhostUser.Protocol;

/// <summary>Feature bits that are between front-end and back-end (<c>VHOST_F_</c>, <c>VHOST_USER_F_</c>): the driver never sees them.</summary>
internal static class VhostUserFeatures
{
    /// <summary>VHOST_F_LOG_ALL: what the device writes is noted in the log of dirty pages.</summary>
    public const ulong LogAll = 1UL << 26;

    /// <summary>VHOST_USER_F_PROTOCOL_FEATURES: there are protocol features, and rings are disabled until SET_VRING_ENABLE.</summary>
    public const ulong Protocol = 1UL << 30;
}
