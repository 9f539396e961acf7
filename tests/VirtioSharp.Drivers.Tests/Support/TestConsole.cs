using System.Runtime.InteropServices;
using System.Text;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Console;

namespace VirtioSharp.Drivers.Tests.Support;

/// <summary>A console with as many ports as a test wants: keeps receive buffers until there is something for them, and collects what is sent.</summary>
internal sealed class TestConsole : VirtioDevice
{
    private readonly Queue<PendingChain>[] _receive;
    private ConsoleConfiguration _space;

    public TestConsole(FeatureSet features = default, int ports = 1, uint? maxPorts = null, int queueSize = 64)
    {
        int queues = features.Has(ConsoleFeatures.MultiPort) ? 2 * ports + 2 : 2;
        _space = new ConsoleConfiguration { WindowSize = new ConsoleSize(80, 25), MaxPorts = maxPorts ?? (uint)ports };
        _receive = [.. Enumerable.Range(0, queues).Select(_ => new Queue<PendingChain>())];
        Sent = [.. Enumerable.Range(0, queues).Select(_ => new List<byte>())];
        Traits = new DeviceTraits(DeviceId.Console, features, [.. Enumerable.Range(0, queues).Select(i => new QueueTraits($"queue{i}", queueSize))])
        {
            ConfigurationSize = ConsoleConfiguration.Size,
        };
    }

    public override DeviceTraits Traits { get; }

    /// <summary>What came in each transmit queue.</summary>
    public List<byte>[] Sent { get; }

    /// <summary>Control messages of the driver.</summary>
    public List<(int Port, ConsoleEvent Event, int Value)> Heard { get; } = [];

    public List<byte> Emergency { get; } = [];

    /// <summary>Announced when the driver is ready.</summary>
    public Action? Ready { get; set; }

    /// <summary>Keeps what is sent without taking it.</summary>
    public bool IsFull { get; set; }

    public List<PendingChain> Unsent { get; } = [];

    /// <summary>Uses each receive buffer at once, with nothing in it.</summary>
    public bool AnswersNothing { get; set; }

    public int Violations { get; private set; }

    /// <summary>Buffers that a port has room in.</summary>
    public int RoomOf(int port) => _receive[ConsoleLayout.ReceiveQueue(port)].Count;

    public void Resize(ushort columns, ushort rows)
    {
        _space = _space with { WindowSize = new ConsoleSize(columns, rows) };
        Services.ConfigurationChanged();
    }

    public void Say(uint port, ConsoleEvent kind, int value = 0, params byte[] rest)
    {
        var message = new ConsoleControl(port, kind, (ushort)value);
        SayRaw([.. MemoryMarshal.AsBytes(new ReadOnlySpan<ConsoleControl>(in message)), .. rest]);
    }

    public void SayName(uint port, string name) => Say(port, ConsoleEvent.PortName, 1, Encoding.UTF8.GetBytes(name));

    public void SayRaw(byte[] message) => Put(ConsoleLayout.ControlReceiveQueue, message);

    /// <summary>Sends bytes to a port, as many as its buffers hold.</summary>
    public int Give(int port, ReadOnlySpan<byte> bytes)
    {
        int given = 0;
        while (given < bytes.Length && RoomOf(port) > 0)
            given += Put(ConsoleLayout.ReceiveQueue(port), bytes[given..]);
        return given;
    }

    /// <summary>Tells the driver that it wrote <paramref name="length"/> bytes, whatever it did.</summary>
    public void Lie(int port, uint length) => _receive[ConsoleLayout.ReceiveQueue(port)].Dequeue().Complete(length);

    public override void OnChain(int queue, scoped ref DeviceChain chain)
    {
        bool isReceive = queue % 2 == 0;
        if (isReceive ? chain.ReadableLeft > 0 : chain.WritableLeft > 0)
            Violations++;
        if (isReceive && AnswersNothing)
            return;
        if (isReceive)
            _receive[queue].Enqueue(chain.Hold());
        else if (queue == ConsoleLayout.ControlTransmitQueue)
            Hear(ref chain);
        else if (IsFull)
            Unsent.Add(chain.Hold());
        else
            Take(queue, ref chain);
    }

    public override void OnReset()
    {
        foreach (Queue<PendingChain> queue in _receive)
            queue.Clear();
        Unsent.Clear();
    }

    public override void ReadConfiguration(int offset, Span<byte> destination) =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<ConsoleConfiguration>(in _space)).Slice(offset, destination.Length).CopyTo(destination);

    public override bool WriteConfiguration(int offset, ReadOnlySpan<byte> source)
    {
        if (offset != ConsoleConfiguration.EmergencyWriteOffset)
            return false;
        Emergency.Add(source[0]);
        return true;
    }

    private int Put(int queue, ReadOnlySpan<byte> bytes)
    {
        PendingChain pending = _receive[queue].Dequeue();
        DeviceChain chain = pending.Open();
        bytes = bytes[..(int)Math.Min((uint)bytes.Length, chain.WritableLeft)];
        chain.Write(bytes);
        pending.Complete(chain.Written);
        return bytes.Length;
    }

    private void Take(int queue, scoped ref DeviceChain chain)
    {
        while (chain.TryNextReadable(out ReadOnlySpan<byte> bytes))
            Sent[queue].AddRange(bytes);
    }

    private void Hear(scoped ref DeviceChain chain)
    {
        Span<byte> raw = stackalloc byte[ConsoleControl.Size];
        chain.ReadExactly(raw);
        var message = MemoryMarshal.Read<ConsoleControl>(raw);
        Heard.Add(((int)message.Port, message.Event, message.Value));
        if (message.Event == ConsoleEvent.DeviceReady)
            Ready?.Invoke();
    }
}
