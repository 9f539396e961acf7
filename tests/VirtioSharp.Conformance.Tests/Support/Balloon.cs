using System.Text.Json;
using VirtioSharp.Core.Device;
using VirtioSharp.Drivers.Balloon;
using VirtioSharp.Drivers.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Balloon;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>A memory balloon, and who wants something of it. QEMU takes away the memory of pages that it gets: they read zero.</summary>
internal class Balloon : Model
{
    private const long MemoryBytes = 64 << 20; // of a machine without a guest

    private readonly TestBalloon _balloon = new(BalloonFeatures.Statistics | BalloonFeatures.PageReporting, compacted: true);

    public override DeviceId Id => DeviceId.Balloon;

    public override VirtioDevice Device => _balloon;

    /// <summary>QEMU counts queues like that, and so does ours here.</summary>
    public static BalloonDriverOptions Options { get; } = new() { QueueNumbers = BalloonQueueNumbers.Compacted };

    public override (string, string) QemuDevice(Way way) => (Named("virtio-balloon", way), ",id=balloon,free-page-reporting=on");

    public override string[] QemuBackEnd(Way way, TemporaryDirectory files) => [];

    protected override bool QemuHasVectors => false;

    /// <summary>Asks for so many pages, and waits until the driver has heard of it.</summary>
    public async Task WantAsync(Rig rig, BalloonDriver driver, int pages)
    {
        if (rig.Machine is null)
            _balloon.Want((uint)pages);
        else
            await rig.ExecuteAsync("balloon", new() { ["value"] = MemoryBytes - pages * 4096L });
        while (driver.TargetPages != pages && driver.Poll(Rig.Patience))
        {
        }

        Assert.Equal((uint)pages, driver.TargetPages);
    }

    /// <summary>How many pages are in it, as far as the device knows.</summary>
    public async Task<int> ActualAsync(Rig rig) => rig.Machine is null
        ? (int)_balloon.Actual
        : (int)((MemoryBytes - (await rig.ExecuteAsync("query-balloon")).GetProperty("actual").GetInt64()) / 4096);

    /// <summary>Lets the device ask for statistics; QEMU does it each second.</summary>
    public async Task AskForStatisticsAsync(Rig rig)
    {
        if (rig.Machine is null)
            _balloon.AskForStatistics();
        else
            await rig.ExecuteAsync("qom-set", new() { ["path"] = "/machine/peripheral/balloon", ["property"] = "guest-stats-polling-interval", ["value"] = 1 });
    }

    /// <summary>What the device has of a statistic.</summary>
    public async Task<ulong> StatisticAsync(Rig rig, BalloonStatisticTag tag, string name)
    {
        if (rig.Machine is null)
            return _balloon.Statistics[^1].Single(entry => entry.Tag == tag).Value;
        JsonElement answer = await rig.ExecuteAsync("qom-get", new() { ["path"] = "/machine/peripheral/balloon", ["property"] = "guest-stats" });
        return answer.GetProperty("stats").GetProperty(name).GetUInt64();
    }
}

/// <summary>QEMU's, with hints on free pages.</summary>
internal sealed class HintingBalloon : Balloon
{
    public override (string, string) QemuDevice(Way way) => (Named("virtio-balloon", way), ",id=balloon,free-page-hint=on,iothread=io0");

    public override string[] QemuBackEnd(Way way, TemporaryDirectory files) => ["-object", "iothread,id=io0"];
}
