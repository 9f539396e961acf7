using System.Net.Sockets;
using System.Text.Json;
using VirtioSharp.Core.Device;
using VirtioSharp.Drivers.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Console;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>A port of a terminal: a console if it has no name.</summary>
internal sealed record Port(int Number, string? Name = null);

/// <summary>A console device, and who sits at the other end of its ports.</summary>
internal sealed class Terminal : Model
{
    private readonly Port[] _ports;
    private readonly int _maxPorts;
    private readonly TestConsole _console;
    private readonly HashSet<int> _connected = [];

    public Terminal(int maxPorts, params Port[] ports)
    {
        (_maxPorts, _ports) = (maxPorts, ports);
        FeatureSet features = ConsoleFeatures.EmergencyWrite | (maxPorts > 1 ? ConsoleFeatures.MultiPort : default);
        _console = new TestConsole(features, maxPorts) { Ready = Announce };
    }

    public override DeviceId Id => DeviceId.Console;

    public override VirtioDevice Device => _console;

    public override string[] QemuChildren => [.. _ports.SelectMany(port => new[] { "-device", $"{(port.Name is null ? "virtconsole" : "virtserialport")},bus=vs.0,id=p{port.Number},nr={port.Number},chardev=c{port.Number}{(port.Name is null ? "" : $",name={port.Name}")}" })];

    public override (string, string) QemuDevice(Way way) => (way.IsPci ? "virtio-serial-pci" : "virtio-serial-device", $",id=vs,max_ports={_maxPorts}");

    // One more than there are ports: for one that is plugged in.
    public override string[] QemuBackEnd(Way way, TemporaryDirectory files) =>
        [.. _ports.Select(port => port.Number).Append(9).SelectMany(number => new[] { "-chardev", $"socket,id=c{number},server=on,wait=off,path={files[$"c{number}"]}" })];

    /// <summary>Somebody opens the other end of a port.</summary>
    /// <param name="rig">Where.</param>
    /// <param name="port">Its number.</param>
    /// <param name="chardev">QEMU's name for the other end, if it is not the port's.</param>
    public IFarEnd Connect(Rig rig, int port, string? chardev = null)
    {
        if (rig.Machine is null)
        {
            Opened(port, true);
            return new Tester(this, port);
        }

        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified) { ReceiveTimeout = 30_000, SendTimeout = 30_000 };
        socket.Connect(new UnixDomainSocketEndPoint(rig.Files[chardev ?? $"c{port}"]));
        return new Connection(socket);
    }

    /// <summary>QEMU takes connections when it gets round to it, and until then drops what a console writes.</summary>
    public static async Task WaitUntilTakenAsync(Rig rig, int port)
    {
        for (int i = 0; i < 500 && rig.Machine is not null; i++)
        {
            JsonElement all = await rig.ExecuteAsync("query-chardev");
            string file = all.EnumerateArray().Single(chardev => chardev.GetProperty("label").GetString() == $"c{port}").GetProperty("filename").GetString()!;
            if (!file.StartsWith("disconnected", StringComparison.Ordinal))
                return;
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        if (rig.Machine is not null)
            Assert.Fail("QEMU has not taken the connection");
    }

    /// <summary>Takes a named port away.</summary>
    public async Task RemoveAsync(Rig rig, int port)
    {
        if (rig.Machine is null)
            _console.Say((uint)port, ConsoleEvent.DeviceRemove);
        else
            await rig.ExecuteAsync("device_del", new() { ["id"] = $"p{port}" });
    }

    /// <summary>Puts a port in its place; its other end in QEMU is c9.</summary>
    public async Task AddAsync(Rig rig, int port, string name)
    {
        if (rig.Machine is null)
            Announce(new Port(port, name));
        else
            await rig.ExecuteAsync("device_add", new() { ["driver"] = "virtserialport", ["id"] = "p9", ["bus"] = "vs.0", ["nr"] = port, ["chardev"] = "c9", ["name"] = name });
    }

    /// <summary>Takes the character that was put out without a driver.</summary>
    public char Emergency(IFarEnd far)
    {
        byte[] read = [0];
        return (char)(far is Tester ? _console.Emergency.Single() : far.Receive(read) == 1 ? read[0] : 0);
    }

    private void Announce()
    {
        foreach (Port port in _ports)
            Announce(port);
    }

    private void Announce(Port port)
    {
        _console.Say((uint)port.Number, ConsoleEvent.DeviceAdd);
        if (port.Name is null)
            _console.Say((uint)port.Number, ConsoleEvent.ConsolePort, 1);
        else
            _console.SayName((uint)port.Number, port.Name);
        if (_connected.Contains(port.Number))
            _console.Say((uint)port.Number, ConsoleEvent.PortOpen, 1);
    }

    private void Opened(int port, bool open)
    {
        _ = open ? _connected.Add(port) : _connected.Remove(port);
        if (_maxPorts > 1)
            _console.Say((uint)port, ConsoleEvent.PortOpen, open ? 1 : 0);
    }

    private sealed class Tester(Terminal terminal, int port) : IFarEnd
    {
        private int _taken;

        public int Send(ReadOnlySpan<byte> bytes) => terminal._console.Give(port, bytes);

        public int Receive(Span<byte> destination)
        {
            List<byte> sent = terminal._console.Sent[ConsoleLayout.TransmitQueue(port)];
            int count = Math.Min(destination.Length, sent.Count - _taken);
            System.Runtime.InteropServices.CollectionsMarshal.AsSpan(sent).Slice(_taken, count).CopyTo(destination);
            _taken += count;
            return count;
        }

        public void Dispose() => terminal.Opened(port, false);
    }

    private sealed class Connection(Socket socket) : IFarEnd
    {
        public int Send(ReadOnlySpan<byte> bytes) => socket.Send(bytes);

        public int Receive(Span<byte> destination) => socket.Receive(destination);

        public void Dispose() => socket.Dispose();
    }
}

/// <summary>The other end of a port.</summary>
internal interface IFarEnd : IDisposable
{
    /// <summary>Sends some, as many as there is room for.</summary>
    int Send(ReadOnlySpan<byte> bytes);

    /// <summary>Receives some.</summary>
    int Receive(Span<byte> destination);
}
