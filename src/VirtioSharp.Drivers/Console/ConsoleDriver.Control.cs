using System.Runtime.InteropServices;
using System.Text;
using VirtioSharp.Spec.Console;

namespace VirtioSharp.Drivers.Console;

// The control queues (§5.3.6.2): what the device says of its ports, and what it is answered.
public sealed partial class ConsoleDriver
{
    private const int ControlBuffers = 16;
    private const int MaxControlBytes = ConsoleControl.Size + 256; // a message, and a name

    private readonly byte[] _message = new byte[MaxControlBytes];
    private ReceiveBuffers? _controlReceive;
    private TransmitBuffers? _controlTransmit;

    /// <summary>Sends a control message.</summary>
    /// <exception cref="TimeoutException">The device has taken none for too long.</exception>
    internal void Send(int port, ConsoleEvent kind, ushort value)
    {
        if (_controlTransmit is null)
            return; // a device with one port has it open
        var message = new ConsoleControl((uint)port, kind, value);
        if (_controlTransmit.Send(MemoryMarshal.AsBytes(new ReadOnlySpan<ConsoleControl>(in message)), _options.Timeout) == 0)
            throw new TimeoutException($"the device has taken no control message for {_options.Timeout.TotalSeconds} s");
    }

    private void OpenControl()
    {
        _controlReceive = new ReceiveBuffers(_session.Queue(ConsoleLayout.ControlReceiveQueue), _session.Dma, ControlBuffers, MaxControlBytes);
        _controlTransmit = new TransmitBuffers(_session.Queue(ConsoleLayout.ControlTransmitQueue), _session.Dma, ControlBuffers, ConsoleControl.Size);
        _controlReceive.Fill();
    }

    private void StartControl()
    {
        _controlReceive!.Kick();
        Send(0, ConsoleEvent.DeviceReady, 1);
    }

    /// <summary>Takes the messages that have come; not more than there are buffers, so that a device which talks without end does not keep the driver.</summary>
    private bool ReceiveControl()
    {
        if (_controlReceive is null)
            return false;
        int taken = 0;
        for (; taken < ControlBuffers && _controlReceive.Look(); taken++)
        {
            int length = _controlReceive.Received.Length;
            _controlReceive.Received.CopyTo(_message);
            _controlReceive.Consume(length);
            if (!Handle(_message.AsSpan(0, length)))
                IgnoredMessages++;
        }

        return taken > 0;
    }

    private bool Handle(ReadOnlySpan<byte> message)
    {
        if (message.Length < ConsoleControl.Size)
            return false;
        var control = MemoryMarshal.Read<ConsoleControl>(message);
        if (control.Port >= (uint)_ports.Length)
            return Refuse(control);
        ConsolePort port = _ports[control.Port];
        if (port.IsPresent == (control.Event == ConsoleEvent.DeviceAdd) && !port.IsAwaited)
            return false; // one that is there is not added again, and of one that is not there nothing else is said
        if (!Apply(port, control, message[ConsoleControl.Size..]))
            return false;
        PortChanged?.Invoke(this, new ConsolePortChange(port, control.Event));
        return true;
    }

    private bool Apply(ConsolePort port, ConsoleControl control, ReadOnlySpan<byte> rest)
    {
        switch (control.Event)
        {
            case ConsoleEvent.DeviceAdd when port.IsAwaited:
                Send(port.Number, ConsoleEvent.PortReady, 1);
                if (port.IsOpen)
                    Send(port.Number, ConsoleEvent.PortOpen, 1);
                port.Return();
                return true;
            case ConsoleEvent.DeviceAdd:
                port.Appear();
                port.Receive.Kick();
                ChooseSources();
                Send(port.Number, ConsoleEvent.PortReady, 1);
                return true;
            case ConsoleEvent.DeviceRemove:
                port.Vanish();
                ChooseSources();
                return true;
            case ConsoleEvent.ConsolePort:
                port.BeConsole();
                Send(port.Number, ConsoleEvent.PortOpen, 1); // MUST (§5.3.6.2.2)
                return true;
            case ConsoleEvent.Resize when rest.Length >= ConsoleSize.Size:
                port.WindowSize = MemoryMarshal.Read<ConsoleSize>(rest);
                return true;
            case ConsoleEvent.PortOpen:
                port.BeOpen(control.Value != 0);
                return true;
            case ConsoleEvent.PortName:
                int end = rest.IndexOf((byte)0); // there should be none, but QEMU sends one
                port.BeNamed(Encoding.UTF8.GetString(end < 0 ? rest : rest[..end]));
                return true;
            default:
                return false;
        }
    }

    /// <summary>A port that the driver has no queues for: the device is told if it asks rightly.</summary>
    private bool Refuse(ConsoleControl control)
    {
        if (control.Event != ConsoleEvent.DeviceAdd || control.Port >= _maxPorts)
            return false;
        Send((int)control.Port, ConsoleEvent.PortReady, 0);
        return true;
    }
}
