using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Demo;

/// <summary>A driver on a bus that records what the bus asks it: whether it is for a device, and to take it in hand.</summary>
internal sealed class TracingDriver(VirtioDriver inner, Walk walk) : VirtioDriver
{
    public override string Name => inner.Name;

    public override IReadOnlyList<DeviceMatch> Devices
    {
        get
        {
            walk.Mark(WalkSide.Driver, "match", "§5", $"{Name} is for {string.Join(", ", inner.Devices.Select(match => $"device id {(ushort?)match.Device} ({match.Device})"))}");
            return inner.Devices;
        }
    }

    public override DriverFeatures Features => inner.Features;

    public override BoundDevice Probe(DriverSession session)
    {
        WalkStep? step = walk.Begin(WalkSide.Driver, "probe", "§3.1.1");
        BoundDevice bound = inner.Probe(session);
        walk.End(step, $"{Name}: {bound.GetType().Name}");
        return bound;
    }
}
