namespace VirtioSharp.Core.Queues;

/// <summary>Where a device stands in a queue: enough to go on later, or elsewhere (vhost-user's vring base, migration).</summary>
/// <param name="NextAvailable">The available index of the chain the device takes next. The used index needs no keeping: it is in the ring.</param>
public readonly record struct QueueSnapshot(ushort NextAvailable);
