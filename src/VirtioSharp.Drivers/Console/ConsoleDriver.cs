using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
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
public sealed partial class ConsoleDriver : BoundDevice, IDisposable
{
    private readonly ConsoleDriverOptions _options;
    private readonly DriverSession _session;
    private readonly ConsolePort[] _ports;
    private readonly uint _maxPorts;
    private InterruptSource[] _sources = [];

    /// <summary>Sets the device up. With several ports, the device announces them when <see cref="Poll"/> looks.</summary>
    /// <param name="transport">The way to the device; not disposed.</param>
    /// <param name="options">How to drive it.</param>
    /// <exception cref="TransportException">It is no console, or it cannot be set up.</exception>
    /// <exception cref="QueueException">It lacks a queue.</exception>
    public ConsoleDriver(IDriverTransport transport, ConsoleDriverOptions? options = null)
        : this(DriverSession.Open(transport, DeviceId.Console, new VirtioConsole(options).Features), options)
    {
    }

    /// <summary>Takes a device in hand that has been negotiated with, and starts it.</summary>
    /// <inheritdoc cref="ConsoleDriver(IDriverTransport, ConsoleDriverOptions?)"/>
    /// <param name="session">Up to FEATURES_OK, with the features of <see cref="VirtioConsole"/>.</param>
    /// <param name="options">How to drive it.</param>
    public ConsoleDriver(DriverSession session, ConsoleDriverOptions? options = null)
    {
        (_session, _options) = (session, options ?? new ConsoleDriverOptions());
        HasPorts = NegotiatedFeatures.Has(ConsoleFeatures.MultiPort);
        _maxPorts = HasPorts ? _session.ReadConfiguration<uint>(ConsoleConfiguration.MaxPortsOffset) : 1;
        int count = (int)Math.Clamp(_maxPorts, 1, (uint)_options.MaxPorts); // port 0's queues always exist
        _session.EnableQueues([.. Requests(count)]);
        _ports = [.. Enumerable.Range(0, count).Select(CreatePort)];
        if (HasPorts)
            OpenControl();
        else
            _ports[0].BeTheOnlyOne();
        ChooseSources();
        ReadSize();
        _session.ConfigurationChanged += (_, _) => ReadSize();
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
        if (LookAround() | LookAtPorts())
            return true;
        if (_session.Wait(_sources, timeout) == InterruptSource.None)
            return false;
        LookAround();
        return true;
    }

    /// <summary>Resets the device. Its ports are gone.</summary>
    public void Dispose()
    {
        _session.Dispose();
        LosePorts();
    }

    /// <summary>Waits until a port has something to read, and minds everything else meanwhile.</summary>
    internal bool WaitFor(ConsolePort port, TimeSpan timeout)
    {
        long start = _session.Time.GetTimestamp();
        if (timeout == Timeout.InfiniteTimeSpan)
            timeout = TimeSpan.MaxValue;
        InterruptSource[] sources = [InterruptSource.Configuration, InterruptSource.Queue(port.Receive.QueueIndex), .. ControlSource];
        LookAround();
        while (port.IsPresent && port.Available == 0)
        {
            TimeSpan left = timeout - _session.Time.GetElapsedTime(start);
            if (left <= TimeSpan.Zero || _session.Wait(sources, left) == InterruptSource.None)
                return port.Available > 0;
            LookAround();
        }

        return port.IsPresent;
    }

    private InterruptSource[] ControlSource => HasPorts ? [InterruptSource.Queue(ConsoleLayout.ControlReceiveQueue)] : [];

    /// <summary>What to wait for: everything that somebody will take away.</summary>
    private void ChooseSources() =>
        _sources = [InterruptSource.Configuration, .. ControlSource, .. Ports.Select(port => InterruptSource.Queue(port.Receive.QueueIndex))];

    /// <summary>Takes what the device has to say of itself and of its ports.</summary>
    private bool LookAround() => _session.Wait([InterruptSource.Configuration], TimeSpan.Zero) != InterruptSource.None | ReceiveControl();

    private bool LookAtPorts()
    {
        bool any = false;
        foreach (ConsolePort port in _ports)
            any |= port.Available > 0;
        return any;
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
        this, number, _session.Queue(ConsoleLayout.ReceiveQueue(number)), _session.Queue(ConsoleLayout.TransmitQueue(number)), _session.Dma, _options);

    /// <summary>The size in configuration space is port 0's (§5.3.6).</summary>
    private void ReadSize()
    {
        if (!NegotiatedFeatures.Has(ConsoleFeatures.Size))
            return;
        ConsoleSize size = _session.ReadConfiguration(fields => new ConsoleSize(
            fields.Read<ushort>(ConsoleConfiguration.WindowSizeOffset), fields.Read<ushort>(ConsoleConfiguration.WindowSizeOffset + 2)));
        if (size == _ports[0].WindowSize)
            return;
        _ports[0].WindowSize = size;
        PortChanged?.Invoke(this, new ConsolePortChange(_ports[0], ConsoleEvent.Resize));
    }
}
