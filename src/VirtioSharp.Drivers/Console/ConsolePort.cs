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

    /// <summary>The device was reset, and has not announced the port since.</summary>
    internal bool IsAwaited { get; private set; }

    /// <summary>Its user has opened it.</summary>
    internal bool IsOpen { get; private set; }

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
    public void Open()
    {
        IsOpen = true;
        _driver.Send(Number, ConsoleEvent.PortOpen, 1);
    }

    /// <summary>Tells the device that nobody does any more.</summary>
    /// <exception cref="TimeoutException">The device does not take the message.</exception>
    public void Close()
    {
        IsOpen = false;
        _driver.Send(Number, ConsoleEvent.PortOpen, 0);
    }

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
        if (IsAwaited)
            _transmit.Forget();
        BeNothing();
    }

    /// <summary>The device will be reset: what came from it stays, to be read.</summary>
    internal void Keep()
    {
        if (IsPresent)
            Receive.Keep();
    }

    /// <summary>The device has been reset, so it has none of the buffers. It is not notified.</summary>
    /// <param name="isAnnounced">Whether the device will announce the port if it is still there.</param>
    internal void Restart(bool isAnnounced)
    {
        if (IsPresent)
            Receive.Restart();
        else
            Lose();
        if (isAnnounced)
            (IsAwaited, IsOpenAtDevice) = (IsPresent, false);
    }

    /// <summary>It is there as it was before the reset.</summary>
    internal void Return()
    {
        IsAwaited = false;
        Receive.Kick();
        _transmit.Repeat();
    }

    /// <summary>It is not there, and nothing that was in its queues is, or they are not, either.</summary>
    internal void Lose()
    {
        Receive.Forget();
        _transmit.Forget();
        BeNothing();
    }

    private void BeNothing() =>
        (IsPresent, IsAwaited, IsOpen, IsConsole, IsOpenAtDevice, Name, WindowSize) = (false, false, false, false, false, "", null);

    internal void BeConsole() => IsConsole = true;

    internal void BeOpen(bool open) => IsOpenAtDevice = open;

    internal void BeNamed(string name) => Name = name;
}
