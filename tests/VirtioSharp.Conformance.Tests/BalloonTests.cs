using System.Text.Json;
using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Balloon;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>Our balloon driver against QEMU's virtio-balloon-pci. QEMU takes away the memory of pages that it gets: they read zero.</summary>
[Proves("Balloon driver", QemuDevice.Column)]
public sealed class BalloonTests
{
    private const int MemoryMiB = 64;

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public async Task The_balloon_follows_the_control_command_and_takes_the_memory_of_its_pages(string options)
    {
        await using QemuDevice device = await StartAsync(options);
        using var driver = new BalloonDriver(device.Transport);
        Stack<DmaBuffer> free = Pages(device, 1024);
        DmaBuffer[] all = [.. free];

        await WantAsync(device, driver, pages: 300);
        Assert.Equal(300, driver.Adjust(free));
        Assert.Equal((MemoryMiB << 20) - 300L * 4096, await ActualAsync(device));
        Assert.Equal(300, all.Count(IsZero));
        Assert.All(free, page => Assert.False(IsZero(page)));
        await WantAsync(device, driver, pages: 10);
        Assert.Equal(-290, driver.Adjust(free));
        foreach (DmaBuffer page in free)
            page.Span.Fill(0xDD);

        Assert.Equal((MemoryMiB << 20) - 10L * 4096, await ActualAsync(device));
        Assert.Equal((10u, 1014), (driver.ActualPages, free.Count));
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public async Task Statistics_come_when_QEMU_polls_for_them(string options)
    {
        await using QemuDevice device = await StartAsync(options);
        ulong free = 1 << 20;
        using var driver = new BalloonDriver(device.Transport, new BalloonDriverOptions
        {
            Statistics = [new(BalloonStatisticTag.FreeMemory, () => free += 4096), new(BalloonStatisticTag.TotalMemory, () => 64 << 20), new(BalloonStatisticTag.MajorFaults, () => 7)],
        });

        await device.ExecuteAsync("qom-set", new() { ["path"] = "/machine/peripheral/balloon", ["property"] = "guest-stats-polling-interval", ["value"] = 1 });
        while (driver.StatisticsSupplied < 2 && driver.Poll(QemuDevice.Patience))
        {
        }

        JsonElement stats = default;
        for (int i = 0; i < 100; i++)
        {
            JsonElement answer = await device.ExecuteAsync("qom-get", new() { ["path"] = "/machine/peripheral/balloon", ["property"] = "guest-stats" });
            stats = answer.GetProperty("stats");
            if (stats.GetProperty("stat-free-memory").GetInt64() == (long)free)
                break;
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }

        Assert.Equal(2, driver.StatisticsSupplied);
        Assert.Equal((long)free, stats.GetProperty("stat-free-memory").GetInt64());
        Assert.Equal((64 << 20, 7), (stats.GetProperty("stat-total-memory").GetInt64(), stats.GetProperty("stat-major-faults").GetInt64()));
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public async Task Reported_memory_is_taken_away_by_way_of_the_queue_that_QEMU_7_2_has_for_it(string options)
    {
        await using QemuDevice device = await StartAsync(",free-page-reporting=on" + options);
        using var driver = new BalloonDriver(device.Transport, new BalloonDriverOptions { QueueNumbers = BalloonQueueNumbers.Compacted });
        DmaBuffer memory = device.Dma.Allocate(100 * 4096, 4096);
        memory.Span.Fill(0xEE);

        driver.Report([.. Enumerable.Range(10, 50).Select(i => memory.Slice(i * 4096, 4096))]);

        Assert.True(IsZero(memory.Slice(10 * 4096, 50 * 4096)));
        Assert.False(memory.Slice(0, 10 * 4096).Span.Contains((byte)0));
        Assert.False(memory.Slice(60 * 4096, 40 * 4096).Span.Contains((byte)0));
    }

    [Fact]
    public async Task Hints_are_asked_for_while_QEMU_migrates()
    {
        await using QemuDevice device = await QemuDevice.StartAsync(DeviceId.Balloon, _ =>
            ["-object", "iothread,id=io0", "-device", "virtio-balloon-pci,id=balloon,addr=4,free-page-hint=on,iothread=io0"]);
        using var driver = new BalloonDriver(device.Transport);
        DmaBuffer memory = device.Dma.Allocate(64 * 4096, 4096);
        await device.ExecuteAsync("migrate-set-parameters", new() { ["max-bandwidth"] = 100_000 });
        await device.ExecuteAsync("migrate", new() { ["uri"] = "exec:cat > /dev/null" });

        while (!driver.WantsHints && driver.Poll(QemuDevice.Patience))
        {
        }

        Assert.True(driver.WantsHints);
        uint command = driver.HintCommand;
        Assert.Equal(2, driver.Hint(memory.Slice(0, 4096), memory.Slice(4096, 63 * 4096)));
        await device.ExecuteAsync("migrate_cancel");
        while (driver.HintCommand == command && driver.Poll(QemuDevice.Patience))
        {
        }

        Assert.InRange(driver.HintCommand, BalloonLayout.CommandStop, BalloonLayout.CommandDone);
    }

    private static Task<QemuDevice> StartAsync(string options) =>
        QemuDevice.StartAsync(DeviceId.Balloon, _ => ["-device", $"virtio-balloon-pci,id=balloon,addr=4{options}"]);

    private static async Task WantAsync(QemuDevice device, BalloonDriver driver, int pages)
    {
        await device.ExecuteAsync("balloon", new() { ["value"] = (MemoryMiB << 20) - (long)pages * 4096 });
        while (driver.TargetPages != pages && driver.Poll(QemuDevice.Patience))
        {
        }

        Assert.Equal((uint)pages, driver.TargetPages);
    }

    private static async Task<long> ActualAsync(QemuDevice device) =>
        (await device.ExecuteAsync("query-balloon")).GetProperty("actual").GetInt64();

    private static Stack<DmaBuffer> Pages(QemuDevice device, int count)
    {
        Stack<DmaBuffer> pages = [];
        for (int i = 0; i < count; i++)
        {
            DmaBuffer page = device.Dma.Allocate(4096, 4096);
            page.Span.Fill(0xEE);
            pages.Push(page);
        }

        return pages;
    }

    private static bool IsZero(DmaBuffer memory) => !memory.Span.ContainsAnyExcept((byte)0);
}
