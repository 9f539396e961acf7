using VirtioSharp.Core.Driver;
using VirtioSharp.Spec.Console;

namespace VirtioSharp.Drivers.Console;

// What a bus makes the driver do. A user's ports are the same before a reset and after it, and no byte is lost.
public sealed partial class ConsoleDriver
{
    /// <summary>The longest that a device which takes nothing, or announces nothing, holds up the others.</summary>
    private static readonly TimeSpan Courtesy = TimeSpan.FromSeconds(2);

    /// <summary>The device takes what it takes, and the driver what has come: also in the last moment, so it is reset here.</summary>
    protected override void OnFreeze()
    {
        LookAround();
        foreach (ConsolePort port in Ports)
            port.Drain(Courtesy);
        _session.Freeze();
        foreach (ConsolePort port in _ports)
            port.Keep();
    }

    /// <summary>A device with several ports announces them anew; one that it does not announce has gone meanwhile.</summary>
    protected override void OnRestore()
    {
        foreach (ConsolePort port in _ports)
            port.Restart(isAnnounced: HasPorts);
        _controlReceive?.Restart();
        _controlTransmit?.Forget();
        _session.Start();
        ReadSize();
        if (!HasPorts)
        {
            _ports[0].Return();
            return;
        }

        StartControl();
        AwaitPorts();
    }

    /// <inheritdoc/>
    protected override void OnRemove(bool isGone) => LosePorts();

    private void AwaitPorts()
    {
        long start = _session.Time.GetTimestamp();
        while (_ports.Any(port => port.IsAwaited))
        {
            TimeSpan left = Courtesy - _session.Time.GetElapsedTime(start);
            if (!ReceiveControl() && (left <= TimeSpan.Zero || _session.Wait(ControlSource, left) == InterruptSource.None))
                break;
        }

        foreach (ConsolePort port in _ports.Where(port => port.IsAwaited))
        {
            port.Vanish();
            PortChanged?.Invoke(this, new ConsolePortChange(port, ConsoleEvent.DeviceRemove));
        }

        ChooseSources();
    }

    /// <summary>Their memory may be gone next.</summary>
    private void LosePorts()
    {
        foreach (ConsolePort port in _ports)
            port.Lose();
    }
}
