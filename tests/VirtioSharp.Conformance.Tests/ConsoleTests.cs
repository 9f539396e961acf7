using System.Net.Sockets;
using System.Text.Json;
using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Drivers.Console;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>Our console driver against QEMU's virtio-serial-pci, with sockets at the other end of its ports.</summary>
[Proves("Console driver", QemuDevice.Column)]
public sealed class ConsoleTests
{
    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    [InlineData(",vectors=0")]
    public async Task Ports_are_announced_named_and_carry_bytes_both_ways(string options)
    {
        await using QemuDevice device = await StartAsync(4, options, "virtconsole,nr=0,chardev=c0", "virtserialport,id=p1,nr=2,chardev=c1,name=org.example.port");
        using var driver = new ConsoleDriver(device.Transport);
        PollUntil(driver, () => driver.Port(0)?.IsConsole == true && driver.Port(2) is { Name.Length: > 0 });
        ConsolePort first = driver.Port(0)!, second = driver.Port(2)!;
        using Socket console = Connect(device, "c0"), serial = Connect(device, "c1");
        PollUntil(driver, () => first.IsOpenAtDevice && second.IsOpenAtDevice);
        second.Open();

        Assert.Equal((true, false), (first.IsConsole, second.IsConsole));
        Assert.Equal("org.example.port", second.Name);
        Assert.Null(driver.Port(1));
        AssertCarries(first, console, 1);
        AssertCarries(second, serial, 2);
        Assert.Equal(0, driver.IgnoredMessages);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public async Task A_device_for_one_port_needs_no_control(string options)
    {
        await using QemuDevice device = await StartAsync(1, options, "virtconsole,chardev=c0");
        using var driver = new ConsoleDriver(device.Transport);
        using Socket console = Connect(device, "c0");
        await WaitUntilTakenAsync(device);

        Assert.False(driver.HasPorts);
        AssertCarries(driver.Port(0)!, console, 3);
    }

    [Fact]
    public async Task A_port_is_unplugged_and_plugged_in_again()
    {
        await using QemuDevice device = await StartAsync(4, "", "virtconsole,nr=0,chardev=c0", "virtserialport,id=p1,nr=1,chardev=c1,name=first");
        using var driver = new ConsoleDriver(device.Transport);
        PollUntil(driver, () => driver.Port(1)?.Name == "first");

        await device.ExecuteAsync("device_del", new() { ["id"] = "p1" });
        PollUntil(driver, () => driver.Port(1) is null);
        await device.ExecuteAsync("device_add", new() { ["driver"] = "virtserialport", ["id"] = "p2", ["bus"] = "vs.0", ["nr"] = 1, ["chardev"] = "c2", ["name"] = "second" });
        PollUntil(driver, () => driver.Port(1)?.Name == "second");
        driver.Port(1)!.Open();
        using Socket serial = Connect(device, "c2");
        PollUntil(driver, () => driver.Port(1)!.IsOpenAtDevice);

        AssertCarries(driver.Port(1)!, serial, 4);
    }

    [Fact]
    public async Task Opening_and_closing_at_the_other_end_is_told()
    {
        await using QemuDevice device = await StartAsync(2, "", "virtserialport,nr=1,chardev=c0,name=port");
        using var driver = new ConsoleDriver(device.Transport);
        PollUntil(driver, () => driver.Port(1)?.Name == "port");
        ConsolePort port = driver.Port(1)!;
        Assert.False(port.IsOpenAtDevice);

        using (Connect(device, "c0"))
            PollUntil(driver, () => port.IsOpenAtDevice);

        PollUntil(driver, () => !port.IsOpenAtDevice);
    }

    [Fact]
    public async Task An_emergency_needs_no_driver()
    {
        await using QemuDevice device = await StartAsync(2, "", "virtconsole,nr=0,chardev=c0");
        using Socket console = Connect(device, "c0");
        await WaitUntilTakenAsync(device);

        Assert.True(ConsoleDriver.EmergencyWrite(device.Transport, (byte)'!'));

        byte[] read = new byte[1];
        Assert.Equal(1, console.Receive(read));
        Assert.Equal((byte)'!', read[0]);
        Assert.Equal(DeviceStatus.Reset, device.Transport.ReadStatus());
    }

    private static Task<QemuDevice> StartAsync(int maxPorts, string options, params string[] ports) =>
        QemuDevice.StartAsync(DeviceId.Console, files =>
        [
            .. Enumerable.Range(0, ports.Length + 1).SelectMany(i => new[] { "-chardev", $"socket,id=c{i},server=on,wait=off,path={files[$"c{i}"]}" }),
            "-device", $"virtio-serial-pci,id=vs,max_ports={maxPorts},addr=4{options}",
            .. ports.SelectMany(port => new[] { "-device", $"{port},bus=vs.0" }),
        ]);

    private static Socket Connect(QemuDevice device, string chardev)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000, SendTimeout = 30_000 };
        socket.Connect(new UnixDomainSocketEndPoint(device.Files[chardev]));
        return socket;
    }

    /// <summary>QEMU takes connections when it gets round to it, and until then drops what a console writes.</summary>
    private static async Task WaitUntilTakenAsync(QemuDevice device)
    {
        for (int i = 0; i < 500; i++)
        {
            JsonElement all = await device.ExecuteAsync("query-chardev");
            string file = all.EnumerateArray().Single(chardev => chardev.GetProperty("label").GetString() == "c0").GetProperty("filename").GetString()!;
            if (!file.StartsWith("disconnected", StringComparison.Ordinal))
                return;
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        Assert.Fail("QEMU has not taken the connection");
    }

    private static void PollUntil(ConsoleDriver driver, Func<bool> condition)
    {
        while (!condition())
            Assert.True(driver.Poll(QemuDevice.Patience), "the device has nothing more to say");
    }

    private static void AssertCarries(ConsolePort port, Socket socket, int seed)
    {
        byte[] sent = new byte[20_000], got = new byte[sent.Length];
        new Random(seed).NextBytes(sent);

        Assert.Equal(sent.Length, port.Write(sent, QemuDevice.Patience));
        for (int read = 0; read < got.Length;)
            read += socket.Receive(got.AsSpan(read));
        Assert.Equal(sent, got);

        Array.Clear(got);
        socket.Send(sent);
        for (int read = 0; read < got.Length;)
        {
            int count = port.Read(got.AsSpan(read), QemuDevice.Patience);
            Assert.True(count > 0, $"{read} bytes have come");
            read += count;
        }

        Assert.Equal(sent, got);
    }
}
