using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec.Console;

namespace VirtioSharp.Drivers.Console;

/// <summary>A port of a console: bytes both ways, and what the device says of it.</summary>
public sealed class ConsolePort
{
    private readonly ConsoleDriver _driver;
    private readonly TransmitBuffers _transmit;

    internal ConsolePort(ConsoleDriver driver, int number, DriverQueue receive, DriverQueue transmit, DmaArena arena, ConsoleDriverOptions options)
    {
        (_driver, Number) = (driver, number);
        Receive = new ReceiveBuffers(receive, arena, options.Buffers, options.BufferBytes);
        _transmit = new TransmitBuffers(transmit, arena, options.Buffers, options.BufferBytes);
    }

    /// <summary>Its number.</summary>
    public int Number { get; }

    /// <summary>The name that the device gave it; empty if none.</summary>
    public string Name { get; private set; } = "";

    /// <summary>Whether it is there: with several ports, they come and go.</summary>
    public bool IsPresent { get; private set; }

    /// <summary>Whether it is for text, on a terminal.</summary>
    public bool IsConsole { get; private set; }

    /// <summary>Whether somebody at the device's side has opened it.</summary>
    public bool IsOpenAtDevice { get; private set; }

    /// <summary>Columns and rows, if the device has said.</summary>
    public ConsoleSize? WindowSize { get; internal set; }

    /// <summary>Bytes that can be read at once.</summary>
    public int Available => IsPresent && Receive.Look() ? Receive.Received.Length : 0;

    internal ReceiveBuffers Receive { get; }

    /// <summary>Reads what has come, and waits if nothing has.</summary>
    /// <param name="destination">Where the bytes go.</param>
    /// <param name="timeout">The longest to wait.</param>
    /// <returns>How many: 0 when the time ran out, or the port went away.</returns>
    /// <exception cref="QueueException">The device broke a queue.</exception>
    public int Read(Span<byte> destination, TimeSpan timeout)
    {
        if (!_driver.WaitFor(this, timeout))
            return 0;
        ReadOnlySpan<byte> received = Receive.Received;
        received = received[..Math.Min(received.Length, destination.Length)];
        received.CopyTo(destination);
        Receive.Consume(received.Length);
        return received.Length;
    }

    /// <summary>Gives bytes to the device, and waits while it has no room.</summary>
    /// <param name="source">What to send.</param>
    /// <param name="timeout">The longest to wait each time.</param>
    /// <returns>How many bytes the device was given: fewer when it kept the driver waiting too long, or the port is not there.</returns>
    /// <exception cref="QueueException">The device broke a queue.</exception>
    public int Write(ReadOnlySpan<byte> source, TimeSpan timeout) => IsPresent ? _transmit.Send(source, timeout) : 0;

    /// <summary>Waits until the device has taken all that was written.</summary>
    /// <returns>False when the time ran out.</returns>
    public bool Drain(TimeSpan timeout) => _transmit.Drain(timeout);

    /// <summary>Tells the device that somebody uses the port now; before that it may keep back what comes. Consoles are opened by the driver.</summary>
    /// <exception cref="TimeoutException">The device does not take the message.</exception>
    public void Open() => _driver.Send(Number, ConsoleEvent.PortOpen, 1);

    /// <summary>Tells the device that nobody does any more.</summary>
    /// <exception cref="TimeoutException">The device does not take the message.</exception>
    public void Close() => _driver.Send(Number, ConsoleEvent.PortOpen, 0);

    /// <summary>The port is there. The device has to be shown the buffers.</summary>
    internal void Appear()
    {
        IsPresent = true;
        Receive.Fill();
    }

    /// <summary>It is the only one, so nothing more is said of it.</summary>
    internal void BeTheOnlyOne()
    {
        Appear();
        (IsConsole, IsOpenAtDevice) = (true, true);
    }

    /// <summary>The port is gone. Its buffers stay with the device: a queue gives none back.</summary>
    internal void Vanish()
    {
        Receive.Drop();
        (IsPresent, IsConsole, IsOpenAtDevice, Name, WindowSize) = (false, false, false, "", null);
    }

    internal void BeConsole() => IsConsole = true;

    internal void BeOpen(bool open) => IsOpenAtDevice = open;

    internal void BeNamed(string name) => Name = name;
}
