using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>The console driver, with somebody at the other end of its ports.</summary>
public sealed class ConsoleTests
{
    private static readonly Port Console = new(0), Serial = new(2, "org.example.port");

    [Theory]
    [Ways("Console driver", "Several queues", EachRing = true, EachInterrupt = true, Transitional = true)]
    public async Task Ports_are_announced_named_and_carry_bytes_both_ways(Way way)
    {
        var model = new Terminal(4, Console, Serial);
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var driver = rig.Drive<ConsoleDriver>(new VirtioConsole());
        PollUntil(driver, () => driver.Port(0)?.IsConsole == true && driver.Port(2) is { Name.Length: > 0 });
        ConsolePort first = driver.Port(0)!, second = driver.Port(2)!;
        using IFarEnd console = model.Connect(rig, 0), serial = model.Connect(rig, 2);
        PollUntil(driver, () => first.IsOpenAtDevice && second.IsOpenAtDevice);
        second.Open();

        Assert.Equal((true, false), (first.IsConsole, second.IsConsole));
        Assert.Equal(Serial.Name, second.Name);
        Assert.Null(driver.Port(1));
        AssertCarries(first, console, 1);
        AssertCarries(second, serial, 2);
        Assert.Equal(0, driver.IgnoredMessages);
    }

    [Theory]
    [Ways("Console driver", EachRing = true)]
    public async Task A_device_for_one_port_needs_no_control(Way way)
    {
        var model = new Terminal(1, Console);
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var driver = rig.Drive<ConsoleDriver>(new VirtioConsole());
        using IFarEnd console = model.Connect(rig, 0);
        await Terminal.WaitUntilTakenAsync(rig, 0);

        Assert.False(driver.HasPorts);
        AssertCarries(driver.Port(0)!, console, 3);
    }

    [Theory]
    [Ways("Console driver")]
    public async Task A_port_is_unplugged_and_plugged_in_again(Way way)
    {
        var model = new Terminal(4, Console, new Port(1, "first"));
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var driver = rig.Drive<ConsoleDriver>(new VirtioConsole());
        PollUntil(driver, () => driver.Port(1)?.Name == "first");

        await model.RemoveAsync(rig, 1);
        PollUntil(driver, () => driver.Port(1) is null);
        await model.AddAsync(rig, 1, "second");
        PollUntil(driver, () => driver.Port(1)?.Name == "second");
        driver.Port(1)!.Open();
        using IFarEnd serial = model.Connect(rig, 1, "c9");
        PollUntil(driver, () => driver.Port(1)!.IsOpenAtDevice);

        AssertCarries(driver.Port(1)!, serial, 4);
    }

    [Theory]
    [Ways("Console driver")]
    public async Task Opening_and_closing_at_the_other_end_is_told(Way way)
    {
        var model = new Terminal(2, new Port(1, "port"));
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var driver = rig.Drive<ConsoleDriver>(new VirtioConsole());
        PollUntil(driver, () => driver.Port(1)?.Name == "port");
        ConsolePort port = driver.Port(1)!;
        Assert.False(port.IsOpenAtDevice);

        using (model.Connect(rig, 1))
            PollUntil(driver, () => port.IsOpenAtDevice);

        PollUntil(driver, () => !port.IsOpenAtDevice);
    }

    [Theory]
    [Ways("Console driver", "Configuration space")]
    public async Task An_emergency_needs_no_driver(Way way)
    {
        var model = new Terminal(1, Console);
        await using Rig rig = await Rig.OpenAsync(way, model);
        using IFarEnd console = model.Connect(rig, 0);
        await Terminal.WaitUntilTakenAsync(rig, 0);

        Assert.True(ConsoleDriver.EmergencyWrite(rig.Transport, (byte)'!'));

        Assert.Equal('!', model.Emergency(console));
        Assert.Equal(DeviceStatus.Reset, rig.Transport.ReadStatus());
    }

    [Theory]
    [Ways("Console driver", "Driver core", "Freeze and restore", EachRing = true)]
    public async Task Ports_on_a_bus_survive_its_sleep(Way way)
    {
        var model = new Terminal(4, Console, Serial);
        await using Rig rig = await Rig.OpenAsync(way, model);
        using var bus = new VirtioBus();
        (ConsoleDriver driver, BusDevice device) = rig.Bind<ConsoleDriver>(bus, new VirtioConsole());
        rig.AssertIsAsWanted(device.Session!);
        PollUntil(driver, () => driver.Port(0)?.IsConsole == true && driver.Port(2) is { Name.Length: > 0 });
        ConsolePort first = driver.Port(0)!, second = driver.Port(2)!;
        using IFarEnd console = model.Connect(rig, 0), serial = model.Connect(rig, 2);
        PollUntil(driver, () => first.IsOpenAtDevice && second.IsOpenAtDevice);
        second.Open();
        for (int nap = 0; nap < 3; nap++)
        {
            byte[] unread = new byte[10];
            serial.Send("unread"u8);
            PollUntil(driver, () => second.Available == 6);

            Assert.Empty(bus.Freeze());
            Assert.Empty(bus.Restore());

            Assert.Equal([first, second], driver.Ports);
            Assert.Equal(6, second.Read(unread, Rig.Patience));
            Assert.Equal("unread"u8.ToArray(), unread[..6]);
            PollUntil(driver, () => first.IsOpenAtDevice && second.IsOpenAtDevice);
            AssertCarries(first, console, nap);
            AssertCarries(second, serial, 10 + nap);
        }
    }

    private static void PollUntil(ConsoleDriver driver, Func<bool> condition)
    {
        while (!condition())
            Assert.True(driver.Poll(Rig.Patience), "the device has nothing more to say");
    }

    private static void AssertCarries(ConsolePort port, IFarEnd far, int seed)
    {
        byte[] sent = new byte[20_000], got = new byte[sent.Length];
        new Random(seed).NextBytes(sent);

        Assert.Equal(sent.Length, port.Write(sent, Rig.Patience));
        for (int read = 0, count; read < got.Length; read += count)
            Assert.NotEqual(0, count = far.Receive(got.AsSpan(read)));
        Assert.Equal(sent, got);

        Array.Clear(got);
        for (int given = 0, read = 0, count; read < got.Length; read += count)
        {
            if (given < sent.Length)
                given += far.Send(sent.AsSpan(given));
            Assert.NotEqual(0, count = port.Read(got.AsSpan(read), Rig.Patience));
        }

        Assert.Equal(sent, got);
    }
}
