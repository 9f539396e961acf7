using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Drivers.Rng;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>The entropy driver over every way that there is.</summary>
public sealed class EntropyTests
{
    [Theory]
    [Ways("Entropy driver", Over = Targets.All, EachRing = true, EachInterrupt = true, Transitional = true)]
    public async Task Bytes_come(Way way)
    {
        var model = new Rng();
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var driver = rig.Drive<RngDriver>(new VirtioRng());

        AssertReads(driver, way, model);
    }

    [Theory]
    [Ways("Entropy driver", "Driver core", "Freeze and restore", Over = Targets.All, EachRing = true, EachInterrupt = true)]
    public async Task A_bus_finds_the_driver_which_goes_on_after_each_sleep(Way way)
    {
        var model = new Rng();
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var bus = new VirtioBus();
        (RngDriver driver, BusDevice device) = rig.Bind<RngDriver>(bus, new VirtioRng());
        rig.AssertIsAsWanted(device.Session!);
        AssertReads(driver, way, model);

        for (int nap = 0; nap < 3; nap++)
        {
            Assert.Empty(bus.Freeze());
            Assert.Empty(bus.Restore());
            AssertReads(driver);
        }

        bus.Remove(device);
        Assert.ThrowsAny<Exception>(() => driver.Read(new byte[1], Rig.Patience));
    }

    private static void AssertReads(RngDriver driver, Way way, Rng model)
    {
        byte[] bytes = AssertReads(driver);
        if (!way.IsDaemon)
            return;
        byte[] all = [.. driver.EarlyRandomness.Span, .. bytes]; // what the driver took as a seed came first
        Assert.Equal(model.Source[..all.Length], all);
    }

    private static byte[] AssertReads(RngDriver driver)
    {
        byte[] bytes = new byte[1024];
        Assert.Equal(bytes.Length, driver.Read(bytes, Rig.Patience));
        Assert.All(bytes.Chunk(64), chunk => Assert.Contains(chunk, value => value != 0));
        return bytes;
    }
}
