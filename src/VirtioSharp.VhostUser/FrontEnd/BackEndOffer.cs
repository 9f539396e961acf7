using VirtioSharp.Spec;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>What a back-end says of itself when it is asked. The protocol has no message for what kind of device it is.</summary>
/// <param name="Features">All of GET_FEATURES: the device's, the rings', and bit 30, which says that there are protocol features.</param>
/// <param name="ProtocolFeatures">GET_PROTOCOL_FEATURES, known here or not; 0 without bit 30.</param>
/// <param name="Queues">GET_QUEUE_NUM; null when it cannot be asked (no MQ).</param>
/// <param name="MemorySlots">GET_MAX_MEM_SLOTS; null when it cannot be asked (no CONFIGURE_MEM_SLOTS).</param>
public sealed record BackEndOffer(FeatureSet Features, ulong ProtocolFeatures, int? Queues, ulong? MemorySlots);
