using VirtioSharp.Spec;

namespace VirtioSharp.Core.Device;

/// <summary>What the host does for its device.</summary>
public interface IDeviceServices
{
    /// <summary>The clock to go by, so that tests can turn it.</summary>
    TimeProvider Time { get; }

    /// <summary>What the driver was offered: the device's features and the rings', but for those that were withheld.</summary>
    FeatureSet DeviceFeatures { get; }

    /// <summary>Serves the device's queues again after <paramref name="delay"/>. One alarm: the latest call counts.</summary>
    void WakeAfter(TimeSpan delay);

    /// <summary>Tells the driver that configuration space has changed (§2.5).</summary>
    void ConfigurationChanged();
}
