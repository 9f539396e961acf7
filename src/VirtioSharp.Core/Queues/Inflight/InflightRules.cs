using VirtioSharp.Core.Errors;

namespace VirtioSharp.Core.Queues;

/// <summary>What must hold of a region's head, in either format.</summary>
internal static class InflightRules
{
    /// <exception cref="QueueException">The message names the field.</exception>
    public static void Check(ulong features, ushort version, ushort descNum, int descriptors, int size)
    {
        if (size > descriptors)
            throw new QueueException($"in-flight region: it has room for {descriptors} descriptors, the queue has {size}");
        if (version == 0)
            return;
        if (version != QueueRegionSplit.CurrentVersion)
            throw new QueueException($"in-flight region: version = {version} is not {QueueRegionSplit.CurrentVersion}");
        if (features != 0)
            throw new QueueException($"in-flight region: features = 0x{features:x} are not known here");
        if (descNum != descriptors)
            throw new QueueException($"in-flight region: desc_num = {descNum}, but its queue size is {descriptors}");
    }
}
