using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Balloon;
using VirtioSharp.Drivers.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Drivers.Tests;

[Proves("Balloon driver", "loopback")]
public sealed class BalloonDriverTests
{
    private static readonly FeatureSet Everything = new(0x3F);

    private static readonly BalloonDriverOptions WithStatistics = new()
    {
        Statistics = [new(BalloonStatisticTag.FreeMemory, () => 1234), new(BalloonStatisticTag.TotalMemory, () => ulong.MaxValue)],
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Pages_go_in_and_come_out_until_the_device_has_what_it_wants(bool packed)
    {
        var device = new TestBalloon();
        using var transport = new LoopbackTransport(device, Rings.Options(packed));
        using var driver = new BalloonDriver(transport);
        Stack<DmaBuffer> free = Pages(transport, 600);
        uint lowest = free.Min(FrameOf);

        device.Want(520);
        Assert.True(driver.Poll(TimeSpan.Zero));
        Assert.Equal(520, driver.Adjust(free));
        Assert.Equal((520u, 520u, 520, 80), (driver.ActualPages, device.Actual, device.Frames.Count, free.Count));
        device.Want(30);
        Assert.True(driver.Poll(TimeSpan.Zero));
        Assert.Equal(-490, driver.Adjust(free));

        Assert.Equal((30u, 30u, 30, 570), (driver.ActualPages, device.Actual, device.Frames.Count, free.Count));
        Assert.Equal([256, 256, 8, 256, 234], device.RequestFrames);
        Assert.All(device.Frames, frame => Assert.InRange(frame, lowest, lowest + 599));
        Assert.Empty(free.Select(FrameOf).Intersect(device.Frames));
        Assert.Equal(0, device.Violations);
        Assert.False(driver.Poll(TimeSpan.Zero));
    }

    [Fact]
    public void A_device_that_wants_more_than_there_is_gets_what_there_is()
    {
        var device = new TestBalloon();
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport);

        device.Want(uint.MaxValue);
        driver.Poll(TimeSpan.Zero);

        Assert.Equal(uint.MaxValue, driver.TargetPages);
        Assert.Equal(10, driver.Adjust(Pages(transport, 10)));
        Assert.Equal(10u, device.Actual);
    }

    [Fact]
    public void A_large_piece_of_memory_is_many_pages()
    {
        var device = new TestBalloon(BalloonFeatures.DeflateOnOom);
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport);
        DmaBuffer large = transport.Dma.Allocate(300 * 4096, 4096);

        driver.Inflate(large);
        driver.Deflate(large.Slice(4096, 4096), large.Slice(3 * 4096, 2 * 4096));

        Assert.Equal([256, 44, 3], device.RequestFrames);
        Assert.Equal((297u, 297), (device.Actual, device.Frames.Count));
    }

    [Fact]
    public void What_is_no_page_or_in_the_wrong_place_is_refused()
    {
        var device = new TestBalloon();
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport);
        DmaBuffer page = transport.Dma.Allocate(8192, 4096);
        driver.Inflate(page.Slice(0, 4096));

        Assert.Throws<ArgumentException>(() => driver.Inflate(page));
        Assert.Throws<ArgumentException>(() => driver.Inflate(page.Slice(4096, 100)));
        Assert.Throws<ArgumentException>(() => driver.Inflate(page.Slice(1, 4096)));
        Assert.Throws<ArgumentException>(() => driver.Inflate(page.Slice(0, 0)));
        Assert.Throws<ArgumentException>(() => driver.Deflate(page.Slice(4096, 4096)));

        Assert.Equal((1u, 0), (device.Actual, device.Violations));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_the_device_wants_is_used_only_if_it_allows_that(bool allowed)
    {
        var device = new TestBalloon(allowed ? BalloonFeatures.DeflateOnOom : default);
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport);
        DmaBuffer page = transport.Dma.Allocate(4096, 4096);
        device.Want(1);
        driver.Poll(TimeSpan.Zero);
        driver.Inflate(page);

        if (allowed)
            driver.Deflate(page);
        else
            Assert.Throws<InvalidOperationException>(() => driver.Deflate(page));

        Assert.Equal(allowed ? 0u : 1u, device.Actual);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void One_statistics_buffer_is_always_the_devices_and_new_ones_come_when_it_uses_it(bool packed)
    {
        var device = new TestBalloon(BalloonFeatures.Statistics);
        using var transport = new LoopbackTransport(device, Rings.Options(packed));
        ulong free = 1000;
        using var driver = new BalloonDriver(transport, new BalloonDriverOptions
        {
            Statistics = [new(BalloonStatisticTag.FreeMemory, () => free), new(BalloonStatisticTag.MajorFaults, () => 7)],
        });
        Assert.Single(device.Statistics);
        Assert.False(driver.Poll(TimeSpan.Zero));

        free = 2000;
        device.AskForStatistics();
        Assert.True(driver.Poll(TimeSpan.FromSeconds(1)));
        free = 3000;
        device.AskForStatistics();
        Assert.True(driver.Poll(TimeSpan.FromSeconds(1)));

        Assert.Equal([1000, 2000, 3000], device.Statistics.Select(all => all[0].Value));
        Assert.All(device.Statistics, all => Assert.Equal((BalloonStatisticTag.MajorFaults, 7ul), all[1]));
        Assert.Equal((0, 2L), (device.Violations, driver.StatisticsSupplied));
    }

    [Fact]
    public void Without_statistics_the_device_gets_none()
    {
        using var transport = new LoopbackTransport(new TestBalloon(Everything));
        using var driver = new BalloonDriver(transport);

        Assert.False(driver.NegotiatedFeatures.Has(BalloonFeatures.Statistics));
        Assert.False(driver.NegotiatedFeatures.Has(BalloonFeatures.PagePoison));
        Assert.False(transport.Host.IsEnabled(BalloonLayout.StatisticsQueue));
        Assert.True(transport.Host.IsEnabled(BalloonLayout.ReportingQueue));
    }

    [Fact]
    public void Hints_begin_with_the_devices_command_and_end_with_stop()
    {
        var device = new TestBalloon(Everything);
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport, WithStatistics);
        DmaBuffer free = transport.Dma.Allocate(64 * 4096, 4096);
        Assert.Throws<InvalidOperationException>(() => driver.Hint(free));

        device.Command(0x80000001);
        Assert.True(driver.Poll(TimeSpan.Zero));
        Assert.True(driver.WantsHints);
        Assert.Equal(2, driver.Hint(free.Slice(0, 4096), free.Slice(4096, 63 * 4096)));

        Assert.False(driver.WantsHints);
        Assert.Equal([(0x80000001, 0u), (null, 4096u), (null, 63 * 4096u), (0, 0u)], device.Hints);
        device.Command(BalloonLayout.CommandDone);
        driver.Poll(TimeSpan.Zero);
        Assert.Equal(BalloonLayout.CommandDone, driver.HintCommand);
        Assert.False(driver.WantsHints);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(0x80000002u)]
    public void Hints_end_when_the_device_changes_its_command(uint next)
    {
        var device = new TestBalloon(Everything);
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport, WithStatistics);
        DmaBuffer free = transport.Dma.Allocate(4 * 4096, 4096);
        device.Command(0x80000001);
        driver.Poll(TimeSpan.Zero);
        device.Hinted = () => device.Command(next);

        Assert.Equal(1, driver.Hint(free.Slice(0, 4096), free.Slice(4096, 4096), free.Slice(8192, 4096)));

        Assert.Equal([(0x80000001, 0u), (null, 4096u), (0, 0u)], device.Hints);
        Assert.Equal(next > 1, driver.WantsHints);
    }

    [Fact]
    public void Reports_come_in_chains_of_many_pieces()
    {
        var device = new TestBalloon(Everything);
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport);
        DmaBuffer free = transport.Dma.Allocate(40 * 4096, 4096);

        driver.Report([.. Enumerable.Range(0, 40).Select(i => free.Slice(i * 4096, 4096))]);

        Assert.Equal([32, 8], device.Reports.Select(report => report.Length));
        Assert.All(device.Reports.SelectMany(report => report), bytes => Assert.Equal(4096u, bytes));
    }

    [Fact]
    public void Poison_is_told_before_the_device_starts_and_fills_what_is_free()
    {
        var device = new TestBalloon(Everything);
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport, new BalloonDriverOptions { Poison = 0xAAAAAAAA });
        DmaBuffer page = transport.Dma.Allocate(4096, 4096), other = transport.Dma.Allocate(4096, 4096);

        driver.Inflate(page);
        driver.Deflate(page);
        driver.Report(other);

        Assert.Equal(0xAAAAAAAA, device.Poison);
        Assert.All(page.Span.ToArray(), value => Assert.Equal(0xAA, value));
        Assert.All(other.Span.ToArray(), value => Assert.Equal(0xAA, value));
    }

    [Theory]
    [InlineData(BalloonQueueNumbers.Specified, true)]
    [InlineData(BalloonQueueNumbers.Specified, false)]
    [InlineData(BalloonQueueNumbers.Compacted, true)]
    [InlineData(BalloonQueueNumbers.Compacted, false)]
    public void The_reporting_queue_is_found_where_the_device_has_it(BalloonQueueNumbers numbers, bool hinting)
    {
        FeatureSet offered = hinting ? Everything : Everything - BalloonFeatures.FreePageHint;
        var device = new TestBalloon(offered, compacted: numbers == BalloonQueueNumbers.Compacted);
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport, WithStatistics with { QueueNumbers = numbers });

        driver.Report(transport.Dma.Allocate(4096, 4096));

        Assert.Equal([[4096u]], device.Reports);
    }

    [Fact]
    public void A_device_that_does_not_take_a_page_has_it_until_it_does()
    {
        var device = new TestBalloon(BalloonFeatures.DeflateOnOom) { Holds = true };
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport);
        DmaBuffer page = transport.Dma.Allocate(4096, 4096);

        Assert.Throws<TimeoutException>(() => driver.Inflate(page));
        Assert.Throws<TimeoutException>(() => driver.Deflate(page)); // MUST NOT before the device has acknowledged it
        Assert.Equal((0u, 0u), (driver.ActualPages, device.Actual));
        Assert.Single(device.Held);
        device.Holds = false;
        device.Held[0].Complete(0);
        driver.Inflate(transport.Dma.Allocate(4096, 4096));

        Assert.Equal(2u, device.Actual);
    }

    [Fact]
    public void A_device_that_asks_for_statistics_without_end_gets_one_answer_for_each_look()
    {
        var device = new TestBalloon(BalloonFeatures.Statistics | BalloonFeatures.FreePageHint) { AsksAlways = true };
        using var transport = new LoopbackTransport(device);
        using var driver = new BalloonDriver(transport, WithStatistics);

        for (int i = 0; i < 100; i++)
            driver.Poll(TimeSpan.Zero);
        device.Command(7);
        for (int i = 0; i < 3 && !driver.WantsHints; i++)
            driver.Poll(TimeSpan.Zero);
        driver.Hint(transport.Dma.Allocate(4096, 4096));

        Assert.InRange(device.Statistics.Count, 100, 110);
    }

    [Fact]
    public void A_device_that_lacks_a_queue_is_refused()
    {
        using var transport = new LoopbackTransport(new TestBalloon(BalloonFeatures.PageReporting, compacted: true));

        Assert.Equal("queue 4 (reporting) does not exist: its size reads 0", Assert.Throws<QueueException>(() => new BalloonDriver(transport)).Message);
    }

    private static Stack<DmaBuffer> Pages(LoopbackTransport transport, int count) =>
        new(Enumerable.Range(0, count).Select(_ => transport.Dma.Allocate(4096, 4096)));

    private static uint FrameOf(DmaBuffer page) => (uint)(page.Address.Value / 4096);
}
