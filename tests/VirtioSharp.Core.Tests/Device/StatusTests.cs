using VirtioSharp.Core.Device;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Device;

/// <summary>The rules of the status field and of negotiation, against drivers that do not keep them.</summary>
[Proves("Feature negotiation", "in process")]
public sealed class StatusTests : IDisposable
{
    private const DeviceStatus Found = DeviceStatus.Acknowledge | DeviceStatus.Driver;

    private readonly HostileDriver _driver = new();

    private DeviceHost Host => _driver.Host;

    public void Dispose() => _driver.Dispose();

    [Fact]
    public void What_is_offered_are_the_devices_features_and_those_of_the_rings() =>
        Assert.Equal([5, 28, 29, 32, 70], Host.DeviceFeatures);

    [Fact]
    public void A_device_is_told_at_its_start_what_was_negotiated() => Assert.Equal(Host.DeviceFeatures, _driver.Device.Features);

    [Theory]
    [InlineData(6)]
    [InlineData(34)]
    [InlineData(127)]
    public void FEATURES_OK_is_withheld_from_a_feature_that_was_not_offered(int bit)
    {
        Host.Reset();
        Host.WriteStatus(Found);
        Host.WriteDriverFeatures(Features.Version1 | FeatureSet.Bit(bit));

        Host.WriteStatus(Found | DeviceStatus.FeaturesOk);

        Assert.Equal(Found, Host.Status);
    }

    [Fact]
    public void FEATURES_OK_is_withheld_without_VERSION_1()
    {
        Host.Reset();
        Host.WriteStatus(Found);
        Host.WriteDriverFeatures(FeatureSet.Bit(5));

        Host.WriteStatus(Found | DeviceStatus.FeaturesOk);

        Assert.Equal(Found, Host.Status);
    }

    [Fact]
    public void A_driver_may_correct_its_features_while_FEATURES_OK_is_withheld()
    {
        Host.Reset();
        Host.WriteStatus(Found);
        Host.WriteDriverFeatures(FeatureSet.Bit(99));
        Host.WriteStatus(Found | DeviceStatus.FeaturesOk);

        Host.WriteDriverFeatures(Features.Version1);
        Host.WriteStatus(Found | DeviceStatus.FeaturesOk);

        Assert.Equal(Found | DeviceStatus.FeaturesOk, Host.Status);
    }

    [Fact]
    public void DRIVER_OK_is_withheld_without_FEATURES_OK()
    {
        Host.Reset();

        Host.WriteStatus(Found | DeviceStatus.DriverOk);

        Assert.Equal(Found, Host.Status);
    }

    [Fact]
    public void Features_written_after_FEATURES_OK_are_ignored()
    {
        FeatureSet before = Host.DriverFeatures;

        Host.WriteDriverFeatures(Features.Version1);
        Host.WriteDriverFeatures(FeatureSet.Bit(99));

        Assert.Equal(before, Host.DriverFeatures);
        _driver.AssertServes();
    }

    [Fact]
    public void A_status_bit_cannot_be_cleared_alone()
    {
        DeviceStatus before = Host.Status;

        Host.WriteStatus(DeviceStatus.Acknowledge);

        Assert.Equal(before, Host.Status);
        _driver.AssertServes();
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_driver_cannot_set_NEEDS_RESET()
    {
        Host.WriteStatus(Host.Status | DeviceStatus.NeedsReset);

        Assert.Equal(DeviceStatus.Reset, Host.Status & DeviceStatus.NeedsReset);
        _driver.AssertServes();
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_driver_cannot_clear_NEEDS_RESET_but_by_a_reset()
    {
        _driver.Ring.AvailableIndex = 100;
        _driver.Kick();

        Host.WriteStatus(Found | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        Assert.Equal(DeviceStatus.NeedsReset, Host.Status & DeviceStatus.NeedsReset);
        Host.WriteStatus(DeviceStatus.Reset);

        Assert.Equal(DeviceStatus.Reset, Host.Status);
    }

    [Fact]
    public void SUSPEND_is_ignored_while_nobody_offers_it()
    {
        Host.WriteStatus(Host.Status | DeviceStatus.Suspend);

        Assert.Equal(DeviceStatus.Reset, Host.Status & DeviceStatus.Suspend);
        _driver.AssertServes();
    }

    [Fact]
    public void A_reset_disables_the_queues_and_forgets_the_features()
    {
        Host.WriteStatus(DeviceStatus.Reset);

        Assert.Equal(DeviceStatus.Reset, Host.Status);
        Assert.False(Host.IsEnabled(0));
        Assert.True(Host.DriverFeatures.IsEmpty);
    }

    [Fact]
    public void A_kick_before_DRIVER_OK_consumes_nothing()
    {
        RawRing ring = EnabledButNotStarted();

        Assert.False(Host.Notify(0));

        Assert.False(Host.HasAvailable(0));
        Assert.Equal(0, ring.UsedIndex);
        Assert.Equal(0, _driver.Device.Chains);
    }

    [Fact]
    public void A_kick_before_DRIVER_OK_is_answered_after_it()
    {
        RawRing ring = EnabledButNotStarted();
        Host.Notify(0);

        Host.WriteStatus(Found | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);
        Assert.Equal(TimeSpan.Zero, _driver.Line.Alarm);
        Host.Wake();

        Assert.Equal(1, ring.UsedIndex);
        Assert.Equal(1, _driver.Device.Chains);
    }

    [Fact]
    public void DRIVER_OK_without_a_kick_before_it_wakes_nobody()
    {
        EnabledButNotStarted();

        Host.WriteStatus(Found | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk);

        Assert.Null(_driver.Line.Alarm);
    }

    [Fact]
    public void Reading_configuration_space_beyond_its_end_reads_zeroes()
    {
        byte[] bytes = [1, 2, 3, 4];

        Host.ReadConfiguration(6, bytes);
        Assert.Equal([0xC6, 0xC6, 0, 0], bytes);
        Host.ReadConfiguration(8, bytes);
        Assert.Equal([0, 0, 0, 0], bytes);
        Host.ReadConfiguration(uint.MaxValue, bytes);
        Assert.Equal([0, 0, 0, 0], bytes);
    }

    [Theory]
    [InlineData(6, 4)]
    [InlineData(8, 1)]
    [InlineData(9, 0)]
    [InlineData(uint.MaxValue, 4)]
    public void Writing_configuration_space_beyond_its_end_is_ignored(uint offset, int length)
    {
        _driver.Device.Configuration = () => Assert.Fail("the write reached the device");

        Assert.False(Host.WriteConfiguration(offset, new byte[length]));
    }

    [Fact]
    public void A_changed_configuration_changes_the_generation_and_tells_the_driver()
    {
        uint before = Host.ConfigurationGeneration;

        _driver.Device.Services.ConfigurationChanged();

        Assert.NotEqual(before, Host.ConfigurationGeneration);
        Assert.Equal(1, _driver.Line.ConfigurationChanges);
    }

    [Fact]
    public void A_changed_configuration_is_not_told_before_DRIVER_OK()
    {
        Host.Reset();

        _driver.Device.Services.ConfigurationChanged();

        Assert.Equal(0, _driver.Line.ConfigurationChanges);
    }

    [Fact]
    public void A_device_that_offers_a_feature_of_the_rings_is_refused()
    {
        var line = new RecordingLine();

        var refusal = Assert.Throws<ArgumentException>(() => new DeviceHost(new GreedyDevice(), line, line));

        Assert.Contains("RING_PACKED(34)", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_has_one_host()
    {
        var line = new RecordingLine();

        Assert.Throws<InvalidOperationException>(() => new DeviceHost(_driver.Device, line, line));
    }

    private RawRing EnabledButNotStarted()
    {
        _driver.Negotiate();
        var ring = new RawRing(_driver.Arena, 8);
        ring[0] = new Descriptor(_driver.Good.Address.Value, 16, DescriptorFlags.Write, 0);
        ring.Offer(0);
        Host.EnableQueue(0, ring.Layout);
        return ring;
    }
}
