using VirtioSharp.Spec;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.Proxy;

/// <summary>What a proxy saw of one session.</summary>
/// <param name="Number">1 for the first.</param>
/// <param name="Features">What was accepted last; null when it did not come to that.</param>
/// <param name="ProtocolFeatures">Of the protocol.</param>
/// <param name="Ended">Why it ended; null when the front-end left in good order.</param>
public sealed record ProxiedSession(int Number, FeatureSet? Features, ProtocolFeatures? ProtocolFeatures, string? Ended);
