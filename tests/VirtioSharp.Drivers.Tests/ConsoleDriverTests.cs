using System.Text;
using VirtioSharp.Core.Errors;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Drivers.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Console;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Drivers.Tests;

[Proves("Console driver", "loopback")]
public sealed class ConsoleDriverTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly FeatureSet Everything = ConsoleFeatures.Size | ConsoleFeatures.MultiPort | ConsoleFeatures.EmergencyWrite;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_device_with_one_port_carries_bytes_both_ways(bool packed)
    {
        var device = new TestConsole();
        using var transport = new LoopbackTransport(device, Rings.Options(packed));
        using var driver = new ConsoleDriver(transport, new ConsoleDriverOptions { BufferBytes = 100 });
        ConsolePort port = Assert.Single(driver.Ports);
        byte[] bytes = Bytes(1000);

        Assert.Equal(1000, port.Write(bytes, Second));
        Assert.Equal(bytes, device.Sent[1]);
        Assert.True(port.Drain(TimeSpan.Zero));

        List<byte> read = [];
        byte[] some = new byte[37];
        for (int given = 0; read.Count < 1000;)
        {
            given += device.Give(0, bytes.AsSpan(given));
            int count = port.Read(some, Second);
            Assert.InRange(count, 1, 37);
            read.AddRange(some[..count]);
        }

        Assert.Equal(bytes, read);
        Assert.Equal(0, port.Read(some, TimeSpan.Zero));
        Assert.Equal((true, true, false, 0), (port.IsConsole, port.IsOpenAtDevice, driver.HasPorts, device.Violations));
        Assert.Equal(4, device.RoomOf(0));
    }

    [Fact]
    public void The_size_is_port_0s_and_changes_with_the_configuration()
    {
        var device = new TestConsole(ConsoleFeatures.Size);
        using var transport = new LoopbackTransport(device);
        using var driver = new ConsoleDriver(transport);
        List<ConsoleSize?> sizes = [];
        driver.PortChanged += (_, change) => sizes.Add(change.Port.WindowSize);
        Assert.Equal(new ConsoleSize(80, 25), driver.Port(0)!.WindowSize);

        device.Resize(132, 50);
        Assert.True(driver.Poll(TimeSpan.Zero));

        Assert.Equal([new ConsoleSize(132, 50)], sizes);
    }

    [Fact]
    public void Without_the_feature_there_is_no_size()
    {
        using var transport = new LoopbackTransport(new TestConsole());
        using var driver = new ConsoleDriver(transport);

        Assert.Null(driver.Port(0)!.WindowSize);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_emergency_needs_no_driver(bool offered)
    {
        var device = new TestConsole(offered ? ConsoleFeatures.EmergencyWrite : default);
        using var transport = new LoopbackTransport(device);

        Assert.Equal(offered, ConsoleDriver.EmergencyWrite(transport, (byte)'!'));

        Assert.Equal(offered ? "!"u8.ToArray() : [], device.Emergency);
        Assert.Equal(DeviceStatus.Reset, transport.ReadStatus());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Ports_are_announced_named_opened_and_nominated(bool packed)
    {
        var device = new TestConsole(Everything, ports: 4);
        device.Ready = () =>
        {
            device.Say(0, ConsoleEvent.DeviceAdd);
            device.Say(2, ConsoleEvent.DeviceAdd);
        };
        using var transport = new LoopbackTransport(device, Rings.Options(packed));
        using var driver = new ConsoleDriver(transport);
        List<(int, ConsoleEvent)> changes = [];
        driver.PortChanged += (_, change) => changes.Add((change.Port.Number, change.Event));
        Assert.Empty(driver.Ports);
        Assert.True(driver.Poll(TimeSpan.Zero));

        device.Say(0, ConsoleEvent.ConsolePort, 1);
        device.SayName(2, "org.example.port");
        device.Say(2, ConsoleEvent.PortOpen, 1);
        device.Say(0, ConsoleEvent.Resize, 0, 100, 0, 40, 0);
        Assert.True(driver.Poll(TimeSpan.Zero));

        Assert.Equal([0, 2], driver.Ports.Select(port => port.Number));
        ConsolePort console = driver.Port(0)!, named = driver.Port(2)!;
        Assert.Equal((true, false, "", new ConsoleSize(100, 40)), (console.IsConsole, console.IsOpenAtDevice, console.Name, console.WindowSize));
        Assert.Equal((false, true, "org.example.port", null), (named.IsConsole, named.IsOpenAtDevice, named.Name, named.WindowSize));
        Assert.Null(driver.Port(1));
        Assert.Equal(
            [(0, ConsoleEvent.DeviceReady, 1), (0, ConsoleEvent.PortReady, 1), (2, ConsoleEvent.PortReady, 1), (0, ConsoleEvent.PortOpen, 1)],
            device.Heard);
        Assert.Equal(
            [
                (0, ConsoleEvent.DeviceAdd), (2, ConsoleEvent.DeviceAdd), (0, ConsoleEvent.ConsolePort), (2, ConsoleEvent.PortName),
                (2, ConsoleEvent.PortOpen), (0, ConsoleEvent.Resize),
            ],
            changes);
        Assert.Equal(0, driver.IgnoredMessages);
    }

    [Fact]
    public void Each_port_has_its_own_queues()
    {
        (TestConsole device, LoopbackTransport transport, ConsoleDriver driver) = Start(3);
        byte[] read = new byte[10];
        for (int i = 0; i < 3; i++)
            driver.Port(i)!.Write([(byte)i], Second);

        Assert.Equal([0], device.Sent[1]);
        Assert.Equal([1], device.Sent[5]);
        Assert.Equal([2], device.Sent[7]);
        for (int i = 2; i >= 0; i--)
            Assert.Equal(1, device.Give(i, [(byte)(10 + i)]));
        Assert.True(driver.Poll(TimeSpan.Zero));
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(1, driver.Port(i)!.Available);
            Assert.Equal(1, driver.Port(i)!.Read(read, TimeSpan.Zero));
            Assert.Equal(10 + i, read[0]);
        }

        Assert.False(driver.Poll(TimeSpan.Zero));
        driver.Dispose();
        transport.Dispose();
    }

    [Fact]
    public void A_port_is_opened_and_closed_by_its_user()
    {
        (TestConsole device, LoopbackTransport transport, ConsoleDriver driver) = Start(2);
        device.Heard.Clear();

        driver.Port(1)!.Open();
        driver.Port(1)!.Close();

        Assert.Equal([(1, ConsoleEvent.PortOpen, 1), (1, ConsoleEvent.PortOpen, 0)], device.Heard);
        driver.Dispose();
        transport.Dispose();
    }

    [Fact]
    public void A_port_that_was_removed_can_come_back_and_has_nothing_left_of_before()
    {
        (TestConsole device, LoopbackTransport transport, ConsoleDriver driver) = Start(2);
        ConsolePort port = driver.Port(1)!;
        device.SayName(1, "first");
        device.Give(1, "old old old"u8);
        driver.Poll(TimeSpan.Zero);
        Assert.Equal(3, port.Read(new byte[3], TimeSpan.Zero));

        device.Say(1, ConsoleEvent.DeviceRemove);
        driver.Poll(TimeSpan.Zero);
        Assert.Null(driver.Port(1));
        Assert.Equal((0, 0), (port.Read(new byte[3], Second), port.Write("x"u8, Second)));
        device.Say(1, ConsoleEvent.DeviceAdd);
        driver.Poll(TimeSpan.Zero);
        device.Give(1, "new"u8);
        byte[] read = new byte[10];

        Assert.Equal(3, port.Read(read, TimeSpan.Zero));
        Assert.Equal("new"u8.ToArray(), read[..3]);
        Assert.Equal(("", true), (port.Name, port.IsPresent));
        Assert.Equal(4, device.RoomOf(1));
        driver.Dispose();
        transport.Dispose();
    }

    [Theory]
    [InlineData("name", "name")]
    [InlineData("name\0", "name")]
    [InlineData("na\0me", "na")]
    [InlineData("", "")]
    [InlineData("пóрт", "пóрт")]
    public void A_name_ends_where_the_message_does_or_at_a_NUL(string said, string name)
    {
        (TestConsole device, LoopbackTransport transport, ConsoleDriver driver) = Start(1);

        device.SayName(0, said);
        driver.Poll(TimeSpan.Zero);

        Assert.Equal(name, driver.Port(0)!.Name);
        driver.Dispose();
        transport.Dispose();
    }

    [Theory]
    [InlineData(2u, ConsoleEvent.DeviceAdd)]
    [InlineData(uint.MaxValue, ConsoleEvent.DeviceAdd)]
    [InlineData(uint.MaxValue, ConsoleEvent.PortName)]
    [InlineData(1u << 31, ConsoleEvent.DeviceRemove)]
    [InlineData(0u, ConsoleEvent.DeviceAdd)]
    [InlineData(1u, ConsoleEvent.DeviceRemove)]
    [InlineData(1u, ConsoleEvent.PortOpen)]
    [InlineData(0u, ConsoleEvent.Resize)]
    [InlineData(0u, ConsoleEvent.DeviceReady)]
    [InlineData(0u, (ConsoleEvent)99)]
    [Proves("Hostile device", "loopback")]
    public void A_message_that_cannot_be_is_counted_and_left(uint port, ConsoleEvent kind)
    {
        (TestConsole device, LoopbackTransport transport, ConsoleDriver driver) = Start(1, queuesFor: 2);
        device.Heard.Clear();

        device.Say(port, kind, 1);
        driver.Poll(TimeSpan.Zero);

        Assert.Equal(1, driver.IgnoredMessages);
        Assert.Equal([0], driver.Ports.Select(p => p.Number));
        Assert.Empty(device.Heard);
        driver.Dispose();
        transport.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(7)]
    [Proves("Hostile device", "loopback")]
    public void A_message_that_is_too_short_is_left(int length)
    {
        (TestConsole device, LoopbackTransport transport, ConsoleDriver driver) = Start(1);

        device.SayRaw(new byte[length]);
        driver.Poll(TimeSpan.Zero);
        device.SayName(0, "still here");
        driver.Poll(TimeSpan.Zero);

        Assert.Equal("still here", driver.Port(0)!.Name);
        driver.Dispose();
        transport.Dispose();
    }

    [Fact]
    public void A_port_beyond_what_the_driver_wants_is_declined()
    {
        var device = new TestConsole(ConsoleFeatures.MultiPort, ports: 4);
        device.Ready = () => device.Say(3, ConsoleEvent.DeviceAdd);
        using var transport = new LoopbackTransport(device);
        using var driver = new ConsoleDriver(transport, new ConsoleDriverOptions { MaxPorts = 2 });

        driver.Poll(TimeSpan.Zero);

        Assert.Equal((3, ConsoleEvent.PortReady, 0), device.Heard[^1]);
        Assert.Empty(driver.Ports);
        Assert.False(transport.Host.IsEnabled(ConsoleLayout.ReceiveQueue(2)));
    }

    [Fact]
    public void A_device_that_takes_nothing_gets_as_much_as_there_are_buffers()
    {
        var device = new TestConsole { IsFull = true };
        using var transport = new LoopbackTransport(device);
        using var driver = new ConsoleDriver(transport, new ConsoleDriverOptions { BufferBytes = 10, Buffers = 3 });
        ConsolePort port = driver.Port(0)!;

        Assert.Equal(30, port.Write(Bytes(100), Second));
        Assert.Equal(0, port.Write(Bytes(1), Second));
        Assert.False(port.Drain(TimeSpan.Zero));
        device.Unsent[0].Complete(0);

        Assert.Equal(10, port.Write(Bytes(100), Second));
    }

    [Fact]
    [Proves("Hostile device", "loopback")]
    public void A_device_that_answers_nothing_without_end_keeps_nobody_waiting()
    {
        var device = new TestConsole { AnswersNothing = true };
        using var transport = new LoopbackTransport(device);
        using var driver = new ConsoleDriver(transport);

        Assert.Equal(0, driver.Port(0)!.Read(new byte[10], TimeSpan.FromMilliseconds(50)));
    }

    [Fact]
    [Proves("Hostile device", "loopback")]
    public void A_length_beyond_the_buffer_is_cut_to_it()
    {
        var device = new TestConsole();
        using var transport = new LoopbackTransport(device);
        using var driver = new ConsoleDriver(transport, new ConsoleDriverOptions { BufferBytes = 64 });

        device.Lie(0, uint.MaxValue);

        Assert.Equal(64, driver.Port(0)!.Read(new byte[1000], Second));
    }

    [Theory]
    [InlineData(0u, 1)]
    [InlineData(uint.MaxValue, 3)]
    [Proves("Hostile device", "loopback")]
    public void A_number_of_ports_of_any_kind_is_cut_to_what_the_driver_wants(uint maxPorts, int enabled)
    {
        using var transport = new LoopbackTransport(new TestConsole(ConsoleFeatures.MultiPort, ports: 4, maxPorts));
        using var driver = new ConsoleDriver(transport, new ConsoleDriverOptions { MaxPorts = 3 });

        Assert.Equal(enabled, Enumerable.Range(0, 4).Count(port => transport.Host.IsEnabled(ConsoleLayout.ReceiveQueue(port))));
    }

    [Fact]
    public void A_device_with_fewer_queues_than_ports_is_refused()
    {
        using var transport = new LoopbackTransport(new TestConsole(ConsoleFeatures.MultiPort, ports: 2, maxPorts: 5));

        Assert.Throws<QueueException>(() => new ConsoleDriver(transport));
    }

    private static (TestConsole Device, LoopbackTransport Transport, ConsoleDriver Driver) Start(int ports, int? queuesFor = null)
    {
        var device = new TestConsole(ConsoleFeatures.MultiPort, queuesFor ?? ports);
        device.Ready = () =>
        {
            for (int i = 0; i < ports; i++)
                device.Say((uint)i, ConsoleEvent.DeviceAdd);
        };
        var transport = new LoopbackTransport(device);
        var driver = new ConsoleDriver(transport);
        driver.Poll(TimeSpan.Zero);
        Assert.Equal(ports, driver.Ports.Count());
        return (device, transport, driver);
    }

    private static byte[] Bytes(int count) => Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, count).Select(i => (char)('a' + i % 26))));
}
