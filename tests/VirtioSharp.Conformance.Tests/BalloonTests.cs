using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Balloon;
using VirtioSharp.Spec.Balloon;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>The balloon driver against a list of pages and QEMU's memory.</summary>
public sealed class BalloonTests
{
    [Theory]
    [Ways("Balloon driver", EachRing = true, EachInterrupt = true, Transitional = true, QemuHasNoVectors = true)]
    public async Task The_balloon_has_as_many_pages_as_the_device_wants(Way way)
    {
        var model = new Balloon();
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var driver = rig.Drive<BalloonDriver>(new VirtioBalloon(Balloon.Options));
        Stack<DmaBuffer> free = Pages(rig, 1024);
        DmaBuffer[] all = [.. free];

        await model.WantAsync(rig, driver, pages: 300);
        Assert.Equal(300, driver.Adjust(free));
        Assert.Equal(300, await model.ActualAsync(rig));
        if (rig.Machine is not null)
            Assert.Equal(300, all.Count(IsZero)); // their memory was taken away
        Assert.All(free, page => Assert.False(IsZero(page)));
        await model.WantAsync(rig, driver, pages: 10);
        Assert.Equal(-290, driver.Adjust(free));
        foreach (DmaBuffer page in free)
            page.Span.Fill(0xDD);

        Assert.Equal((10, 10u, 1014), (await model.ActualAsync(rig), driver.ActualPages, free.Count));
    }

    [Theory]
    [Ways("Balloon driver", EachRing = true, QemuHasNoVectors = true)]
    public async Task Statistics_come_when_the_device_asks_for_them(Way way)
    {
        var model = new Balloon();
        await using Rig rig = await Rig.OpenAsync(way, model);
        ulong free = 1 << 20;
        using var driver = rig.Drive<BalloonDriver>(new VirtioBalloon(Balloon.Options with
        {
            Statistics = [new(BalloonStatisticTag.FreeMemory, () => free += 4096), new(BalloonStatisticTag.TotalMemory, () => 64 << 20), new(BalloonStatisticTag.MajorFaults, () => 7)],
        }));

        await model.AskForStatisticsAsync(rig);
        while (driver.StatisticsSupplied < 1 && driver.Poll(Rig.Patience))
        {
        }

        for (int i = 0; i < 200 && await model.StatisticAsync(rig, BalloonStatisticTag.FreeMemory, "stat-free-memory") != free; i++)
            await Task.Delay(10, TestContext.Current.CancellationToken);
        Assert.Equal(1, driver.StatisticsSupplied);
        Assert.Equal(free, await model.StatisticAsync(rig, BalloonStatisticTag.FreeMemory, "stat-free-memory"));
        Assert.Equal(64ul << 20, await model.StatisticAsync(rig, BalloonStatisticTag.TotalMemory, "stat-total-memory"));
        Assert.Equal(7ul, await model.StatisticAsync(rig, BalloonStatisticTag.MajorFaults, "stat-major-faults"));
    }

    [Theory]
    [Ways("Balloon driver", EachRing = true, ModernOnly = true, QemuHasNoVectors = true)]
    public async Task Reported_memory_is_the_devices_until_it_is_used(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Balloon());
        using var driver = rig.Drive<BalloonDriver>(new VirtioBalloon(Balloon.Options));
        DmaBuffer memory = rig.Dma.Allocate(100 * 4096, 4096);
        memory.Span.Fill(0xEE);

        driver.Report([.. Enumerable.Range(10, 50).Select(i => memory.Slice(i * 4096, 4096))]);

        if (rig.Machine is not null)
            Assert.True(IsZero(memory.Slice(10 * 4096, 50 * 4096)));
        Assert.False(memory.Slice(0, 10 * 4096).Span.Contains((byte)0));
        Assert.False(memory.Slice(60 * 4096, 40 * 4096).Span.Contains((byte)0));
        memory.Span.Fill(0xDD);
        driver.Report(memory);
    }

    [Theory]
    [Ways("Balloon driver", "Driver core", "Freeze and restore", EachRing = true, QemuHasNoVectors = true)]
    public async Task A_balloon_on_a_bus_keeps_its_pages_while_it_sleeps(Way way)
    {
        var model = new Balloon();
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var bus = new VirtioBus();
        (BalloonDriver driver, BusDevice device) = rig.Bind<BalloonDriver>(bus, new VirtioBalloon(Balloon.Options));
        rig.AssertIsAsWanted(device.Session!);
        Stack<DmaBuffer> free = Pages(rig, 400);
        await model.WantAsync(rig, driver, pages: 300);
        Assert.Equal(300, driver.Adjust(free));

        Assert.Empty(bus.Freeze());
        Assert.Empty(bus.Restore());

        Assert.Equal((300, 300u), (await model.ActualAsync(rig), driver.ActualPages));
        await model.WantAsync(rig, driver, pages: 20);
        Assert.Equal((-280, 380), (driver.Adjust(free), free.Count));
        Assert.Equal(20, await model.ActualAsync(rig));
    }

    [Theory]
    [Ways("Balloon driver", Over = Targets.Qemu, PciOnly = true, ModernOnly = true, QemuHasNoVectors = true)]
    public async Task Hints_are_asked_for_while_QEMU_migrates(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new HintingBalloon());
        using var driver = rig.Drive<BalloonDriver>(new VirtioBalloon());
        DmaBuffer memory = rig.Dma.Allocate(64 * 4096, 4096);
        await rig.ExecuteAsync("migrate-set-parameters", new() { ["max-bandwidth"] = 100_000 });
        await rig.ExecuteAsync("migrate", new() { ["uri"] = "exec:cat > /dev/null" });

        while (!driver.WantsHints && driver.Poll(Rig.Patience))
        {
        }

        Assert.True(driver.WantsHints);
        uint command = driver.HintCommand;
        Assert.Equal(2, driver.Hint(memory.Slice(0, 4096), memory.Slice(4096, 63 * 4096)));
        await rig.ExecuteAsync("migrate_cancel");
        while (driver.HintCommand == command && driver.Poll(Rig.Patience))
        {
        }

        Assert.InRange(driver.HintCommand, BalloonLayout.CommandStop, BalloonLayout.CommandDone);
    }

    private static Stack<DmaBuffer> Pages(Rig rig, int count)
    {
        Stack<DmaBuffer> pages = [];
        for (int i = 0; i < count; i++)
        {
            DmaBuffer page = rig.Dma.Allocate(4096, 4096);
            page.Span.Fill(0xEE);
            pages.Push(page);
        }

        return pages;
    }

    private static bool IsZero(DmaBuffer memory) => !memory.Span.ContainsAnyExcept((byte)0);
}
