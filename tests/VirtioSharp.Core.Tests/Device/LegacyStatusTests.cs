using VirtioSharp.Core.Device;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Core.Tests.Device;

/// <summary>A transport with a legacy interface lets drivers in that know no FEATURES_OK (§3.1.2).</summary>
public sealed class LegacyStatusTests
{
    private const DeviceStatus Started = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk;

    private readonly RecordingLine _line = new();
    private readonly ScriptedDevice _device = new();
    private readonly DeviceHost _host;

    public LegacyStatusTests() => _host = new DeviceHost(_device, _line, _line, new DeviceHostOptions { AllowLegacy = true });

    [Fact]
    public void A_legacy_driver_starts_without_FEATURES_OK()
    {
        _host.WriteDriverFeatures(FeatureSet.Bit(5));

        _host.WriteStatus(Started);

        Assert.Equal(Started, _host.Status);
    }

    [Fact]
    public void A_legacy_driver_with_features_that_were_not_offered_does_not_start()
    {
        _host.WriteDriverFeatures(FeatureSet.Bit(6));

        _host.WriteStatus(Started);

        Assert.Equal(Started & ~DeviceStatus.DriverOk, _host.Status);
    }

    [Fact]
    public void A_driver_that_knows_VERSION_1_needs_FEATURES_OK_all_the_same()
    {
        _host.WriteDriverFeatures(Features.Version1);

        _host.WriteStatus(Started);
        Assert.Equal(Started & ~DeviceStatus.DriverOk, _host.Status);
        _host.WriteStatus(Started | DeviceStatus.FeaturesOk);

        Assert.Equal(Started | DeviceStatus.FeaturesOk, _host.Status);
    }

    [Fact]
    public void A_device_that_is_used_before_DRIVER_OK_starts_once_with_the_features_of_then()
    {
        int starts = 0;
        _device.Start = () => starts++;
        _host.WriteDriverFeatures(FeatureSet.Bit(5));

        _host.StartEarly();
        _host.StartEarly();
        _host.WriteDriverFeatures(Features.None);
        ((IDeviceServices)_host).ConfigurationChanged();
        _host.WriteStatus(Started);

        Assert.Equal((1, FeatureSet.Bit(5), 1), (starts, _host.DriverFeatures, _line.ConfigurationChanges));
        _host.Reset();
        ((IDeviceServices)_host).ConfigurationChanged();
        Assert.Equal(1, _line.ConfigurationChanges);
    }

    [Fact]
    public void A_device_that_could_not_start_does_not_start_early()
    {
        _host.WriteDriverFeatures(FeatureSet.Bit(6));
        _host.StartEarly();
        Assert.Equal(Features.None, _device.Features);

        _host.WriteDriverFeatures(Features.Version1);
        _host.StartEarly();
        _host.WriteDriverFeatures(FeatureSet.Bit(5));

        Assert.Equal(FeatureSet.Bit(5), _host.DriverFeatures); // still the driver's to write
    }
}
