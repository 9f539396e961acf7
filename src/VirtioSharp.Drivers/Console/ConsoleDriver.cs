using System.Runtime.InteropServices;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Console;

namespace VirtioSharp.Drivers.Console;

/// <summary>Something that a device said of one of its ports.</summary>
/// <param name="Port">Which.</param>
/// <param name="Event">What: added, removed, opened or closed, named, nominated as a console, resized.</param>
public readonly record struct ConsolePortChange(ConsolePort Port, ConsoleEvent Event);

/// <summary>Drives a console (§5.3): one port, or several that the device adds and removes.</summary>
/// <remarks>
/// One thread. While nothing is to be done, call <see cref="Poll"/>; reading from a port looks after control messages as well.
/// Messages about ports that cannot be are counted and left.
/// </remarks>
public sealed partial class ConsoleDriver : IDisposable
{
    private static readonly FeatureSet Known = ConsoleFeatures.Size | ConsoleFeatures.MultiPort | ConsoleFeatures.EmergencyWrite;

    private readonly IDriverTransport _transport;
    private readonly ConsoleDriverOptions _options;
    private readonly DriverSession _session;
    private readonly ConsolePort[] _ports;
    private readonly InterruptSource[] _sources;
    private readonly uint _maxPorts;

    /// <summary>Sets the device up. With several ports, the device announces them when <see cref="Poll"/> looks.</summary>
    /// <param name="transport">The way to the device; not disposed.</param>
    /// <param name="options">How to drive it.</param>
    /// <exception cref="TransportException">It is no console, or it cannot be set up.</exception>
    /// <exception cref="QueueException">It lacks a queue.</exception>
    public ConsoleDriver(IDriverTransport transport, ConsoleDriverOptions? options = null)
    {
        (_transport, _options) = (transport, options ?? new ConsoleDriverOptions());
        _session = DriverSession.Open(transport, DeviceId.Console, Known, _options.Withheld);
        ConsoleConfiguration space = ReadConfiguration();
        HasPorts = NegotiatedFeatures.Has(ConsoleFeatures.MultiPort);
        _maxPorts = HasPorts ? space.MaxPorts : 1;
        int count = (int)Math.Clamp(_maxPorts, 1, (uint)_options.MaxPorts); // port 0's queues always exist
        _session.EnableQueues([.. Requests(count)]);
        _ports = [.. Enumerable.Range(0, count).Select(CreatePort)];
        _sources =
        [
            InterruptSource.Configuration, .. HasPorts ? [InterruptSource.Queue(ConsoleLayout.ControlReceiveQueue)] : Array.Empty<InterruptSource>(),
            .. _ports.Select(port => InterruptSource.Queue(port.Receive.QueueIndex)),
        ];
        if (HasPorts)
            OpenControl();
        else
            _ports[0].BeTheOnlyOne();
        Resize(space);
        _session.Start();
        if (HasPorts)
            StartControl();
        else
            _ports[0].Receive.Kick();
    }

    /// <summary>The device said something of a port. Raised in <see cref="Poll"/> and while a port is read.</summary>
    public event EventHandler<ConsolePortChange>? PortChanged;

    /// <summary>Whether the device can have several ports; if not, port 0 is always there.</summary>
    public bool HasPorts { get; }

    /// <summary>The ports that are there now.</summary>
    public IEnumerable<ConsolePort> Ports => _ports.Where(port => port.IsPresent);

    /// <summary>Control messages that meant nothing: of ports that cannot be or are not there, too short, of unknown kinds.</summary>
    public long IgnoredMessages { get; private set; }

    /// <summary>What was agreed on.</summary>
    public FeatureSet NegotiatedFeatures => _session.NegotiatedFeatures;

    /// <summary>Puts one character out without any queue: a device that offers EMERG_WRITE takes it at any time, set up or broken (§5.3.5).</summary>
    /// <returns>False when the device does not offer it.</returns>
    public static bool EmergencyWrite(IDriverTransport transport, byte character)
    {
        if (!transport.ReadDeviceFeatures().Has(ConsoleFeatures.EmergencyWrite))
            return false;
        transport.WriteConfiguration(ConsoleConfiguration.EmergencyWriteOffset, [character, 0, 0, 0]);
        return true;
    }

    /// <summary>The port of this number, or null if it is not there.</summary>
    public ConsolePort? Port(int number) => (uint)number < (uint)_ports.Length && _ports[number].IsPresent ? _ports[number] : null;

    /// <summary>Waits until the device has said something, or there is something to read.</summary>
    /// <param name="timeout">The longest to wait; zero only looks.</param>
    /// <returns>Whether it has.</returns>
    /// <exception cref="QueueException">The device broke a queue. It has been reset.</exception>
    public bool Poll(TimeSpan timeout)
    {
        bool changed = Look(TimeSpan.Zero);
        foreach (ConsolePort port in _ports)
            changed |= port.Available > 0;
        return changed || Look(timeout);
    }

    /// <summary>Resets the device.</summary>
    public void Dispose() => _session.Dispose();

    /// <summary>Waits until a port has something to read, and minds everything else meanwhile.</summary>
    internal bool WaitFor(ConsolePort port, TimeSpan timeout)
    {
        long start = _transport.Time.GetTimestamp();
        if (timeout == Timeout.InfiniteTimeSpan)
            timeout = TimeSpan.MaxValue;
        Look(TimeSpan.Zero);
        while (port.IsPresent && port.Available == 0)
        {
            TimeSpan left = timeout - _transport.Time.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || !Look(left))
                return port.Available > 0;
        }

        return port.IsPresent;
    }

    /// <summary>Takes what the device says, and waits if it says nothing. Ports have been looked at, so their interrupts are armed.</summary>
    private bool Look(TimeSpan timeout)
    {
        if (ReceiveControl())
            return true;
        InterruptSource source = _transport.WaitForInterrupt(_sources, timeout);
        if (source == InterruptSource.Configuration)
            Resize(ReadConfiguration());
        else if (source.QueueIndex == ConsoleLayout.ControlReceiveQueue && HasPorts)
            ReceiveControl();
        return source != InterruptSource.None;
    }

    private IEnumerable<QueueRequest> Requests(int ports)
    {
        for (int port = 0; port < ports; port++)
        {
            yield return new(ConsoleLayout.ReceiveQueue(port), $"receive port{port}", _options.Buffers);
            yield return new(ConsoleLayout.TransmitQueue(port), $"transmit port{port}", _options.Buffers);
        }

        if (HasPorts)
        {
            yield return new(ConsoleLayout.ControlReceiveQueue, "control receive", ControlBuffers);
            yield return new(ConsoleLayout.ControlTransmitQueue, "control transmit", ControlBuffers);
        }
    }

    private ConsolePort CreatePort(int number) => new(
        this, number, _session.Queue(ConsoleLayout.ReceiveQueue(number)), _session.Queue(ConsoleLayout.TransmitQueue(number)), _transport.Dma, _options);

    /// <summary>The size in configuration space is port 0's (§5.3.6).</summary>
    private void Resize(in ConsoleConfiguration space)
    {
        if (!NegotiatedFeatures.Has(ConsoleFeatures.Size) || space.WindowSize == _ports[0].WindowSize)
            return;
        _ports[0].WindowSize = space.WindowSize;
        PortChanged?.Invoke(this, new ConsolePortChange(_ports[0], ConsoleEvent.Resize));
    }

    private ConsoleConfiguration ReadConfiguration()
    {
        ConsoleConfiguration space = default;
        Span<byte> bytes = MemoryMarshal.AsBytes(new Span<ConsoleConfiguration>(ref space));
        Configuration.Read(_transport, bytes[..ConsoleConfiguration.BytesFor(NegotiatedFeatures)]);
        return space;
    }
}
