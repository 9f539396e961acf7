using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Driver;

[Proves("Driver core", "in process")]
public sealed class VirtioBusTests : IDisposable
{
    private readonly VirtioBus _bus = new();
    private readonly RegisterTransport _transport = new();
    private readonly RecordingDriver _driver = new("block", new DeviceMatch(DeviceId.Block));

    public void Dispose()
    {
        _bus.Dispose();
        _transport.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Driver_and_device_find_each_other_whichever_comes_first(bool driverFirst)
    {
        if (driverFirst)
            _bus.Register(_driver);
        BusDevice device = _bus.Add(_transport);
        if (!driverFirst)
        {
            Assert.Null(device.Driver);
            Assert.Equal(DeviceStatus.Acknowledge, _transport.ReadStatus());
            _bus.Register(_driver);
        }

        Assert.Same(_driver, device.Driver);
        Assert.Equal(["status 0", "status 1", "status 0", "status 1", "status 3", "features", "status 11", "interrupts 1 VectorPerQueue", "queue 0", "status 15"], _transport.Journal);
        Assert.Equal(["probe"], _driver.Journal);
        Assert.Equal("virtio0", device.Name);
    }

    [Theory]
    [InlineData(DeviceId.Block, 7u, true)]
    [InlineData(DeviceId.Block, 8u, false)]
    [InlineData(DeviceId.Network, 7u, false)]
    [InlineData(DeviceId.Network, 9u, true)]
    public void A_driver_is_for_the_devices_and_vendors_of_its_table(DeviceId device, uint vendor, bool matches)
    {
        _bus.Register(new RecordingDriver("picky", new DeviceMatch(DeviceId.Block, 7), new DeviceMatch(null, 9)));
        (_transport.DeviceId, _transport.VendorId) = (device, vendor);

        Assert.Equal(matches, _bus.Add(_transport).Driver is not null);
    }

    [Fact]
    public void A_driver_for_any_device_takes_any_and_the_first_that_came_is_the_first_that_is_tried()
    {
        var any = new RecordingDriver("any", DeviceMatch.Any);
        _bus.Register(_driver);
        _bus.Register(any);
        using var other = new RegisterTransport { DeviceId = DeviceId.Sound };

        Assert.Equal((_driver, any), (_bus.Add(_transport).Driver, _bus.Add(other).Driver));
    }

    [Theory]
    [InlineData(0, new[] { 1, 32 })]
    [InlineData(4096, new[] { 2 })]
    [Proves("Legacy interface", "in process")]
    public void A_legacy_device_has_a_feature_table_of_its_own(int alignment, int[] expected)
    {
        _driver.Table = new DriverFeatures(FeatureSet.Bit(1)) { LegacyWanted = FeatureSet.Bit(2) };
        _bus.Register(_driver);
        _transport.LegacyAlignment = alignment;
        _transport.Offered = Features.Version1 | FeatureSet.Bit(1) | FeatureSet.Bit(2);

        BusDevice device = _bus.Add(_transport);

        Assert.Equal(expected, device.Session!.NegotiatedFeatures);
    }

    [Fact]
    public void A_device_whose_probe_fails_says_FAILED_and_stays_for_another_driver()
    {
        _driver.Probing = _ => throw new DeviceException("not to my taste");
        _bus.Register(_driver);
        ulong mark = _transport.Dma.Mark;
        BusDevice device = _bus.Add(_transport);

        Assert.Equal(("not to my taste", null), (device.LastFailure!.Message, device.Driver));
        Assert.Equal(DeviceStatus.Failed, _transport.ReadStatus());
        Assert.Equal(mark, _transport.Dma.Mark);
        var other = new RecordingDriver("other", DeviceMatch.Any);
        _bus.Register(other);

        Assert.Same(other, device.Driver);
        Assert.Null(device.LastFailure);
        Assert.Equal(0xF, (int)_transport.ReadStatus());
    }

    [Fact]
    public void A_driver_that_cannot_do_with_a_device_leaves_it_to_the_next_at_once()
    {
        _driver.Table = new DriverFeatures { Required = FeatureSet.Bit(9) };
        var other = new RecordingDriver("other", DeviceMatch.Any);
        _bus.Register(_driver);
        _bus.Register(other);

        Assert.Same(other, _bus.Add(_transport).Driver);
        Assert.Contains("status 131", _transport.Journal);
        Assert.Empty(_driver.Journal);
    }

    [Fact]
    public void A_driver_that_goes_leaves_its_devices_to_the_others()
    {
        var other = new RecordingDriver("other", DeviceMatch.Any);
        _bus.Register(_driver);
        _bus.Register(other);
        BusDevice device = _bus.Add(_transport);

        _bus.Unregister(_driver);
        Assert.Equal(["probe", "remove"], _driver.Journal);
        Assert.Same(other, device.Driver);
        _bus.Unregister(other);

        Assert.Null(device.Driver);
        Assert.Equal(DeviceStatus.Acknowledge, _transport.ReadStatus());
        Assert.Empty(_transport.Enabled);
    }

    [Fact]
    public void Drivers_that_come_and_go_cost_no_memory()
    {
        _bus.Add(_transport);
        ulong mark = _transport.Dma.Mark;

        for (int i = 0; i < 1000; i++)
        {
            _bus.Register(_driver);
            _bus.Unregister(_driver);
        }

        Assert.Equal(mark, _transport.Dma.Mark);
        Assert.Equal(2000, _driver.Journal.Count);
    }

    [Fact]
    public void A_driver_is_registered_once()
    {
        _bus.Register(_driver);

        Assert.Equal("driver block is registered already", Assert.Throws<InvalidOperationException>(() => _bus.Register(_driver)).Message);
    }
}
