using VirtioSharp.Core.Errors;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Devices.Tests;

[Proves("Hostile device", "in process")]
public sealed class HostileEntropyDeviceTests : IDisposable
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly LyingTransport _transport = new();

    public void Dispose() => _transport.Dispose();

    [Theory]
    [InlineData(65)]
    [InlineData(uint.MaxValue)]
    public void A_device_that_claims_too_many_bytes_gets_its_claim_cut(uint claimed)
    {
        _transport.Notified = () =>
        {
            _transport.Buffer(0).Fill(0xEE);
            _transport.Use(0, claimed);
            _transport.Notified = null;
        };
        using var driver = new RngDriver(_transport, bufferSize: 64);
        byte[] bytes = new byte[1000];

        Assert.Equal(64 - 32, driver.Read(bytes, Second));

        Assert.All(driver.EarlyRandomness.ToArray().Concat(bytes[..32]), read => Assert.Equal(0xEE, read));
        Assert.All(bytes[32..], rest => Assert.Equal(0, rest));
    }

    [Fact]
    public void A_device_that_always_answers_nothing_is_waited_for_no_longer_than_the_timeout()
    {
        var device = new EntropyStub((scoped ref _) => { });
        var time = new FakeTime(TimeSpan.FromMilliseconds(1));
        using var transport = new ClockworkTransport(device, time);
        using var driver = new RngDriver(transport);
        long start = time.GetTimestamp();

        Assert.Equal(0, driver.Read(new byte[16], Second));

        Assert.InRange(time.GetElapsedTime(start), TimeSpan.Zero, Second * 1.1);
        Assert.InRange(device.Chains, 2, 100);
    }

    [Fact]
    public void A_device_that_answers_nothing_at_first_is_asked_again()
    {
        int answers = 0;
        var device = new EntropyStub((scoped ref chain) =>
        {
            if (++answers > 5)
                chain.Write([1, 2, 3]);
        });
        using var transport = new ClockworkTransport(device, new FakeTime(TimeSpan.FromMilliseconds(1)));
        using var driver = new RngDriver(transport);
        byte[] bytes = new byte[5];

        Assert.Equal(5, driver.Read(bytes, Second));

        byte[] all = [.. driver.EarlyRandomness.Span, .. bytes];
        Assert.Equal(Enumerable.Range(0, all.Length).Select(i => (byte)(i % 3 + 1)), all);
    }

    [Fact]
    public void A_device_that_uses_what_it_was_not_given_breaks_the_queue()
    {
        using var driver = new RngDriver(_transport);
        _transport.Use(7, 64);

        Assert.Equal(
            "used id = 7 names no chain that is in flight",
            Assert.Throws<QueueException>(() => driver.Read(new byte[1], Second)).Message);
    }

    [Fact]
    public void A_device_that_breaks_the_queue_while_the_driver_starts_is_reset()
    {
        _transport.Notified = () => _transport.Use(7, 64);

        Assert.Throws<QueueException>(() => new RngDriver(_transport));

        Assert.Equal(DeviceStatus.Reset, _transport.Written[^1]);
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_needs_a_reset_gives_nothing_and_works_after_one()
    {
        bool broken = true;
        var device = new EntropyStub((scoped ref chain) =>
        {
            if (broken)
                throw new DeviceException("out of order");
            chain.Write([1, 2, 3, 4]);
        });
        using var transport = new ClockworkTransport(device);
        byte[] bytes = new byte[4];

        using (var driver = new RngDriver(transport))
        {
            Assert.Equal(0, driver.Read(bytes, Second));
            Assert.Equal(DeviceStatus.NeedsReset, transport.ReadStatus() & DeviceStatus.NeedsReset);
        }

        broken = false;
        using var again = new RngDriver(transport);
        Assert.Equal(4, again.Read(bytes, Second));
    }

    [Fact]
    public void Another_kind_of_device_is_refused()
    {
        _transport.DeviceId = DeviceId.Block;

        var refusal = Assert.Throws<TransportException>(() => new RngDriver(_transport));

        Assert.Equal("device id = 2 (Block) is not the driver's 4 (Entropy)", refusal.Message);
        Assert.Empty(_transport.Written);
    }

    [Fact]
    public void A_device_whose_status_reads_0xff_is_gone()
    {
        _transport.ShownStatus = _ => (DeviceStatus)0xFF;

        var refusal = Assert.Throws<TransportException>(() => new RngDriver(_transport));

        Assert.Equal("device status reads 0xff: the device has been unplugged", refusal.Message);
    }

    [Fact]
    public void A_device_that_does_not_reset_is_given_up()
    {
        _transport.ShownStatus = _ => DeviceStatus.Acknowledge | DeviceStatus.Driver;

        var refusal = Assert.Throws<TransportException>(() => new RngDriver(_transport));

        Assert.Equal("device status still reads Acknowledge, Driver after a reset", refusal.Message);
    }

    [Fact]
    public void A_device_that_takes_a_while_to_reset_is_waited_for()
    {
        int polls = 0;
        _transport.ShownStatus = honest => honest == DeviceStatus.Reset && ++polls < 20 ? DeviceStatus.DriverOk : honest;

        using var driver = new RngDriver(_transport);

        Assert.True(polls >= 20);
        Assert.Equal(DeviceStatus.DriverOk, _transport.ReadStatus() & DeviceStatus.DriverOk);
        polls = 0;
    }

    [Fact]
    [Proves("Feature negotiation", "in process")]
    public void A_device_that_refuses_the_features_is_told_that_the_driver_failed()
    {
        _transport.ShownStatus = honest => honest & ~DeviceStatus.FeaturesOk;

        var refusal = Assert.Throws<TransportException>(() => new RngDriver(_transport));

        Assert.Equal(
            "the device refused the features INDIRECT_DESC(28) EVENT_IDX(29) VERSION_1(32) (it offers INDIRECT_DESC(28) EVENT_IDX(29) VERSION_1(32))",
            refusal.Message);
        Assert.Equal(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.Failed, _transport.Written[^1]);
    }

    [Fact]
    [Proves("Feature negotiation", "in process")]
    public void A_device_without_VERSION_1_is_refused_and_told()
    {
        _transport.Offered = Features.EventIdx;

        var refusal = Assert.Throws<TransportException>(() => new RngDriver(_transport));

        Assert.Equal("the device offers EVENT_IDX(29): without VERSION_1 it is a legacy device", refusal.Message);
        Assert.Equal(DeviceStatus.Failed, _transport.Written[^1] & DeviceStatus.Failed);
    }

    [Fact]
    [Proves("Feature negotiation", "in process")]
    public void Only_what_the_driver_understands_is_accepted()
    {
        _transport.Offered = new FeatureSet(ulong.MaxValue, ulong.MaxValue);

        using var driver = new RngDriver(_transport);

        Assert.Equal([28, 29, 32, 34, 35, 38, 40], _transport.Accepted);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void A_device_without_a_queue_is_refused(int size)
    {
        _transport.MaxQueueSize = size;

        var refusal = Assert.Throws<QueueException>(() => new RngDriver(_transport));

        Assert.Equal($"queue 0 does not exist: its size reads {size}", refusal.Message);
        Assert.True(_transport.Written[^1].HasFlag(DeviceStatus.Failed));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(7, 4)]
    [InlineData(100, 64)]
    [InlineData(256, 256)]
    [InlineData(65535, 256)]
    [InlineData(int.MaxValue, 256)]
    public void A_queue_size_of_any_kind_becomes_the_power_of_two_below_it(int offered, int chosen)
    {
        _transport.MaxQueueSize = offered;

        using var driver = new RngDriver(_transport);

        Assert.Equal(chosen, _transport.Layout.Size);
    }

    [Fact]
    public void The_status_is_written_in_the_order_of_the_specification()
    {
        using var driver = new RngDriver(_transport);

        Assert.Equal([0, 1, 3, 11, 15], _transport.Written.Select(status => (int)status));
    }
}
