using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A driver of one queue that writes down what the bus makes it do.</summary>
internal sealed class RecordingDriver(string name, params IReadOnlyList<DeviceMatch> matches) : VirtioDriver
{
    public List<string> Journal { get; } = [];

    public DriverFeatures Table { get; set; } = new();

    /// <summary>Happens at the end of the probe.</summary>
    public Action<DriverSession>? Probing { get; set; }

    public Action? Freezing { get; set; }

    public Action? Removing { get; set; }

    public override string Name => name;

    public override IReadOnlyList<DeviceMatch> Devices => matches;

    public override DriverFeatures Features => Table;

    public override BoundDevice Probe(DriverSession session)
    {
        Journal.Add("probe");
        session.Dma.Allocate(100);
        session.EnableQueue(0);
        Probing?.Invoke(session);
        return new Bound(this);
    }

    private sealed class Bound(RecordingDriver driver) : BoundDevice
    {
        protected internal override void OnFreeze()
        {
            driver.Journal.Add("freeze");
            driver.Freezing?.Invoke();
        }

        protected internal override void OnRestore() => driver.Journal.Add("restore");

        protected internal override void OnRemove(bool isGone)
        {
            driver.Journal.Add(isGone ? "lost" : "remove");
            driver.Removing?.Invoke();
        }
    }
}
