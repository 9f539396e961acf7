using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Fuzz.Engine;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>What can be fuzzed, by name.</summary>
internal static class TargetList
{
    public static string[] Names { get; } = ["device-split", "device-packed", "driver-split", "driver-packed", "vhost-user", "toy"];

    public static ITarget Create(string name) => name switch
    {
        "device-split" => new DeviceTarget(isPacked: false),
        "device-packed" => new DeviceTarget(isPacked: true),
        "driver-split" => new DriverTarget<SplitDriverRing>(name),
        "driver-packed" => new DriverTarget<PackedDriverRing>(name),
        "vhost-user" => new MessageTarget(),
        "toy" => new ToyTarget(),
        _ => throw new UsageException($"there is no target {name}: {string.Join(", ", Names)}"),
    };
}
