using VirtioSharp.Devices.Rng;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Devices.Tests;

[Proves("Entropy driver", "in process")]
public sealed class RngDriverTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(10_000)]
    public void Any_length_is_read_in_the_devices_order_and_every_byte_once(int length)
    {
        int given = 0;
        using var transport = new ClockworkTransport(new RngDevice(room => Count(room, ref given)));
        using var driver = new RngDriver(transport, bufferSize: 24);
        byte[] bytes = new byte[length];

        Assert.Equal(length, driver.Read(bytes, Second));

        int early = driver.EarlyRandomness.Length;
        Assert.Equal(Enumerable.Range(0, early + length).Select(i => (byte)i), [.. driver.EarlyRandomness.ToArray(), .. bytes]);
    }

    [Fact]
    public void The_early_randomness_is_what_the_device_has_at_once()
    {
        using var quick = new ClockworkTransport(new RngDevice());
        using var slow = new ClockworkTransport(new RngDevice(_ => 0));
        using var quickDriver = new RngDriver(quick);
        using var slowDriver = new RngDriver(slow);

        Assert.Equal(32, quickDriver.EarlyRandomness.Length);
        Assert.Equal(0, slowDriver.EarlyRandomness.Length);
    }

    [Fact]
    public void A_slow_device_is_waited_for_and_a_slower_one_is_not()
    {
        using var transport = new ClockworkTransport(new RngDevice(limit: new RateLimit(64, Second)));
        using var driver = new RngDriver(transport, bufferSize: 64);
        byte[] bytes = new byte[32 + 64 + 64];

        Assert.Equal(32, driver.Read(bytes, Second / 2));
        Assert.Equal(bytes.Length, driver.Read(bytes, Second * 2));

        Assert.InRange(transport.Host.Statistics(0).BytesWritten, 32ul + 32 + 160, 64ul * 5);
    }

    [Fact]
    public void A_read_that_got_too_little_is_continued_by_the_next()
    {
        int given = 0, supply = 40;
        using var transport = new ClockworkTransport(new RngDevice(room => Count(room[..Math.Min(room.Length, supply - given)], ref given)));
        using var driver = new RngDriver(transport);
        byte[] bytes = new byte[20];

        Assert.Equal(8, driver.Read(bytes, Second));
        supply = 1000;
        Assert.Equal(20, driver.Read(bytes, Second));

        Assert.Equal(Enumerable.Range(40, 20).Select(i => (byte)i), bytes);
    }

    [Fact]
    public void Bytes_that_were_handed_out_do_not_stay_in_the_shared_buffer()
    {
        using var transport = new LyingTransport();
        transport.Notified = () =>
        {
            transport.Buffer(0).Fill(0xEE);
            transport.Use(0, 64);
            transport.Notified = null;
        };
        using var driver = new RngDriver(transport);
        byte[] bytes = new byte[31];

        Assert.Equal(31, driver.Read(bytes, Second));

        Assert.Equal([.. new byte[32 + 31], 0xEE], transport.Buffer(0).ToArray());
        Assert.All(bytes, read => Assert.Equal(0xEE, read));
    }

    [Fact]
    public void Disposing_the_driver_resets_the_device()
    {
        using var transport = new ClockworkTransport(new RngDevice());
        var driver = new RngDriver(transport);
        Assert.True(transport.Host.IsEnabled(0));

        driver.Dispose();

        Assert.Equal(DeviceStatus.Reset, transport.ReadStatus());
        Assert.False(transport.Host.IsEnabled(0));
    }

    [Fact]
    public void The_same_device_can_be_driven_again_and_again()
    {
        using var transport = new ClockworkTransport(new RngDevice());
        byte[] bytes = new byte[100];

        for (int i = 0; i < 10; i++)
        {
            using var driver = new RngDriver(transport);
            Assert.Equal(100, driver.Read(bytes, Second));
        }
    }

    private static int Count(Span<byte> room, ref int given)
    {
        for (int i = 0; i < room.Length; i++)
            room[i] = (byte)given++;
        return room.Length;
    }
}
