using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>What a kind of device is, before anybody drives it.</summary>
/// <param name="Id">Its device type (§5).</param>
/// <param name="Features">The device's own feature bits (0–23, 50–127). Those of rings and transports are added by the host.</param>
/// <param name="Queues">Its virtqueues, by index.</param>
public sealed record DeviceTraits(DeviceId Id, FeatureSet Features, params IReadOnlyList<QueueTraits> Queues)
{
    /// <summary>Bytes of device configuration space.</summary>
    public int ConfigurationSize { get; init; }
}

/// <summary>What a device says of one of its virtqueues.</summary>
/// <param name="Name">The specification's name for it, as in "requestq" without the q.</param>
/// <param name="MaxSize">The most entries it supports: what the driver reads as queue size before it chooses.</param>
public sealed record QueueTraits(string Name, int MaxSize);
