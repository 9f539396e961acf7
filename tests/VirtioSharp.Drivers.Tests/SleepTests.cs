using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Balloon;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Tests.Support;
using VirtioSharp.Spec.Balloon;
using VirtioSharp.Spec.Block;
using VirtioSharp.Spec.Console;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Drivers.Tests;

/// <summary>What becomes of a driver's work when a bus puts its device to sleep, or takes it away, at the wrong moment.</summary>
[Proves("Freeze and restore", "loopback")]
public sealed class SleepTests : IDisposable
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly VirtioBus _bus = new();

    public void Dispose() => _bus.Dispose();

    [Fact]
    public void Results_that_nobody_has_taken_are_there_after_the_sleep()
    {
        var disk = new MemoryDisk(64);
        (BlockDriver driver, BusDevice device) = Bind<BlockDriver>(new LoopbackTransport(disk), new VirtioBlock());
        DmaBuffer data = device.Transport.Dma.Allocate(512);
        BlockToken[] tokens = new BlockToken[40];
        for (int i = 0; i < tokens.Length; i++)
            Assert.True(driver.TrySubmit(BlockRequest.Read((ulong)i, data), out tokens[i]));

        Nap();

        foreach (BlockToken token in tokens)
        {
            Assert.True(driver.TryTake(out BlockResult result));
            Assert.Equal((token, BlockOutcome.Done), (result.Token, result.Outcome));
        }

        Assert.False(driver.TryTake(out _));
    }

    [Fact]
    public void What_a_broken_disk_never_answered_is_lost_and_said_to_be()
    {
        var disk = new MemoryDisk(64) { Holds = true };
        (BlockDriver driver, BusDevice device) = Bind<BlockDriver>(new LoopbackTransport(disk), new VirtioBlock());
        DmaBuffer data = device.Transport.Dma.Allocate(512);
        Assert.True(driver.TrySubmit(BlockRequest.Write(3, data), out BlockToken first));
        Assert.Throws<TimeoutException>(() => driver.Write(5, new byte[512]));

        Assert.Equal([device], _bus.Freeze());
        Assert.IsType<TimeoutException>(device.LastFailure);
        Assert.Throws<DeviceException>(() => driver.Read(0, new byte[512]));
        disk.Holds = false;
        Assert.Empty(_bus.Restore());

        Assert.True(driver.TryTake(out BlockResult result));
        Assert.Equal(new BlockResult(first, BlockRequestType.Out, 3, 1, BlockOutcome.Lost, (BlockStatus)0xFF), result);
        Assert.False(driver.TryTake(out _));
        for (int i = 0; i < 1000; i++)
            driver.Write((ulong)i % 64, new byte[512]);
    }

    [Fact]
    public void The_cache_is_as_it_was_switched()
    {
        var disk = new MemoryDisk(64, BlockFeatures.Flush | BlockFeatures.ConfigWriteback, new BlockConfiguration { Writeback = 1 }) { RestoresWriteback = true };
        (BlockDriver driver, _) = Bind<BlockDriver>(new LoopbackTransport(disk), new VirtioBlock());

        driver.SetWriteback(false);
        Nap();

        Assert.False(driver.IsWriteback);
    }

    [Fact]
    public void A_disk_that_has_another_size_after_the_sleep_is_noticed()
    {
        var disk = new MemoryDisk(64);
        (BlockDriver driver, _) = Bind<BlockDriver>(new LoopbackTransport(disk), new VirtioBlock());

        Assert.Empty(_bus.Freeze());
        disk.Resize(32, notify: false);
        Assert.Empty(_bus.Restore());

        Assert.Equal(32ul, driver.Capacity);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void The_balloon_keeps_its_pages_and_the_device_is_told_of_them_again(bool packed)
    {
        var device = new TestBalloon(BalloonFeatures.Statistics | BalloonFeatures.PagePoison);
        (BalloonDriver driver, BusDevice place) = Bind<BalloonDriver>(new LoopbackTransport(device, Rings.Options(packed)), new VirtioBalloon(new BalloonDriverOptions
        {
            Statistics = [new(BalloonStatisticTag.FreeMemory, () => 1234)],
            Poison = 0xAA55AA55,
        }));
        var free = new Stack<DmaBuffer>(Enumerable.Range(0, 600).Select(_ => place.Transport.Dma.Allocate(4096, 4096)));
        device.Want(520);
        driver.Poll(TimeSpan.Zero);
        driver.Adjust(free);
        uint[] before = [.. device.Frames];

        Assert.Empty(_bus.Freeze());
        Assert.Empty(device.Frames);
        device.Want(10);
        Assert.Empty(_bus.Restore());

        Assert.Equal(before, device.Frames);
        Assert.Equal((520u, 520u, 0xAA55AA55, 10u), (device.Actual, driver.ActualPages, device.Poison, driver.TargetPages));
        Assert.Equal(-510, driver.Adjust(free));
        Assert.Equal((10, 590), (device.Frames.Count, free.Count));
        device.AskForStatistics();
        Assert.True(driver.Poll(Second));
        Assert.Equal((0, 1L), (device.Violations, driver.StatisticsSupplied));
    }

    [Fact]
    public void Hints_that_are_wanted_after_the_sleep_are_given_even_if_they_have_the_number_of_those_before()
    {
        var device = new TestBalloon(BalloonFeatures.FreePageHint);
        (BalloonDriver driver, BusDevice place) = Bind<BalloonDriver>(new LoopbackTransport(device), new VirtioBalloon());
        DmaBuffer memory = place.Transport.Dma.Allocate(4096, 4096);
        device.Command(7);
        driver.Poll(TimeSpan.Zero);
        driver.Hint(memory);
        Assert.False(driver.WantsHints);

        Nap();

        Assert.True(driver.WantsHints);
        Assert.Equal(1, driver.Hint(memory));
    }

    [Fact]
    public void A_console_loses_no_byte_that_came_or_was_written()
    {
        var device = new TestConsole { IsFull = true };
        (ConsoleDriver driver, _) = Bind<ConsoleDriver>(new LoopbackTransport(device), new VirtioConsole(new ConsoleDriverOptions { BufferBytes = 10 }));
        ConsolePort port = driver.Port(0)!;
        device.Give(0, "0123456789abcdefghijXYZ"u8);
        byte[] read = new byte[30];
        Assert.Equal(3, port.Read(read.AsSpan(0, 3), Second));
        Assert.Equal(25, port.Write("what the device has not t"u8, Second));

        Assert.Empty(_bus.Freeze());
        device.IsFull = false;
        Assert.Empty(_bus.Restore());

        Assert.Equal("what the device has not t"u8.ToArray(), device.Sent[1]);
        int got = 3;
        while (got < 23)
            got += port.Read(read.AsSpan(got), Second);
        Assert.Equal("0123456789abcdefghijXYZ"u8.ToArray(), read[..23]);
        Assert.Equal((4, 0), (device.RoomOf(0), device.Violations));
        Assert.Equal(6, device.Give(0, "andnew"u8));
        Assert.Equal(6, port.Read(read, Second));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Ports_are_the_same_objects_and_those_that_are_not_announced_again_are_gone(bool packed)
    {
        var device = new TestConsole(ConsoleFeatures.MultiPort, ports: 3);
        int announced = 3;
        device.Ready = () =>
        {
            for (int i = 0; i < announced; i++)
                device.Say((uint)i, ConsoleEvent.DeviceAdd);
        };
        (ConsoleDriver driver, _) = Bind<ConsoleDriver>(new LoopbackTransport(device, Rings.Options(packed)), new VirtioConsole());
        driver.Poll(TimeSpan.Zero);
        device.SayName(1, "name");
        device.Say(1, ConsoleEvent.PortOpen, 1);
        driver.Poll(TimeSpan.Zero);
        ConsolePort[] ports = [.. driver.Ports];
        ports[1].Open();
        List<(int, ConsoleEvent)> changes = [];
        driver.PortChanged += (_, change) => changes.Add((change.Port.Number, change.Event));

        Assert.Empty(_bus.Freeze());
        announced = 2;
        device.Heard.Clear();
        Assert.Empty(_bus.Restore());

        Assert.Equal(ports[..2], driver.Ports);
        Assert.Equal(("name", false, false), (ports[1].Name, ports[1].IsOpenAtDevice, ports[2].IsPresent));
        Assert.Equal(
            [(0, ConsoleEvent.DeviceReady, 1), (0, ConsoleEvent.PortReady, 1), (1, ConsoleEvent.PortReady, 1), (1, ConsoleEvent.PortOpen, 1)],
            device.Heard);
        Assert.Equal([(0, ConsoleEvent.DeviceAdd), (1, ConsoleEvent.DeviceAdd), (2, ConsoleEvent.DeviceRemove)], changes);
        Assert.Equal(0, driver.IgnoredMessages);
        device.Give(1, "hello"u8);
        Assert.Equal(5, ports[1].Read(new byte[10], Second));
        device.Say(2, ConsoleEvent.DeviceAdd);
        driver.Poll(TimeSpan.Zero);
        Assert.Equal((true, 4), (ports[2].IsPresent, device.RoomOf(2)));
    }

    [Theory]
    [InlineData("block")]
    [InlineData("balloon")]
    [InlineData("console")]
    [Proves("Hot plug", "loopback")]
    public void A_driver_that_has_lost_its_device_says_so_and_leaves_the_memory_alone(string kind)
    {
        var disk = new MemoryDisk(64, BlockFeatures.Flush);
        VirtioDriver driver = kind switch { "block" => new VirtioBlock(), "balloon" => new VirtioBalloon(), _ => new VirtioConsole() };
        var transport = new LoopbackTransport(kind switch { "block" => disk, "balloon" => new TestBalloon(), _ => new TestConsole() });
        DmaBuffer page = transport.Dma.Allocate(4096, 4096);
        (BoundDevice bound, _) = Bind<BoundDevice>(transport, driver);
        if (bound is BlockDriver { } block)
            Assert.True(block.TrySubmit(BlockRequest.Read(1, page), out _));
        ConsolePort? port = (bound as ConsoleDriver)?.Port(0);
        Action[] uses = bound switch
        {
            BlockDriver blocks =>
            [
                () => blocks.Write(0, new byte[512]), () => blocks.ReadId(), blocks.Flush, () => blocks.TryTake(out _),
                () => Assert.True(blocks.TrySubmit(BlockRequest.Write(0, page), out _)),
            ],
            BalloonDriver balloon => [() => balloon.Inflate(page), () => balloon.Poll(TimeSpan.Zero)],
            ConsoleDriver console => [() => console.Poll(TimeSpan.Zero), () => port!.Read(new byte[1], Second)],
            _ => [],
        };

        _bus.Unregister(driver); // the memory is still there to be looked at

        Assert.NotEmpty(uses);
        foreach (Action use in uses)
            Assert.ThrowsAny<Exception>(use);
        Assert.Equal(0, port?.Write([1], Second) ?? 0);
        Assert.False(transport.Dma.Look(transport.Dma.Region.Start, 1 << 20).ContainsAnyExcept((byte)0));
    }

    private (TDriver Driver, BusDevice Device) Bind<TDriver>(LoopbackTransport transport, VirtioDriver driver)
        where TDriver : BoundDevice
    {
        _bus.Register(driver);
        BusDevice device = _bus.Add(transport);
        Assert.Null(device.LastFailure);
        return (Assert.IsType<TDriver>(device.Bound, exactMatch: false), device);
    }

    private void Nap()
    {
        Assert.Empty(_bus.Freeze());
        Assert.Empty(_bus.Restore());
    }
}
