using VirtioSharp.Core.Device;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Core.Tests.Device;

/// <summary>A transport with a legacy interface lets drivers in that know no FEATURES_OK (§3.1.2).</summary>
public sealed class LegacyStatusTests
{
    private const DeviceStatus Started = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk;

    private readonly DeviceHost _host;

    public LegacyStatusTests()
    {
        var line = new RecordingLine();
        _host = new DeviceHost(new ScriptedDevice(), line, line, new DeviceHostOptions { AllowLegacy = true });
    }

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
}
