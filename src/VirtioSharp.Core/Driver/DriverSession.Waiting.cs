using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver;

// Notifications of the device (§2.3), for drivers of several queues. A driver of one queue waits at the queue.
public sealed partial class DriverSession
{
    /// <summary>How often a busy driver is told of queues before the configuration is looked at. A look is a register access or a system call.</summary>
    private const int BusyTurns = 64;

    private InterruptSource[] _sources = [InterruptSource.Configuration];
    private int _turn;

    /// <summary>Why the device is not used any more until <see cref="Restore"/>, or null: it needs a reset, lied, or was unplugged.</summary>
    public string? Broken { get; private set; }

    /// <summary>Waits for the configuration and all enabled queues. See <see cref="Wait(ReadOnlySpan{InterruptSource}, TimeSpan)"/>.</summary>
    public InterruptSource Wait(TimeSpan timeout) => Wait(_sources, timeout);

    /// <summary>Waits until one of some queues has used buffers, or the configuration has changed.</summary>
    /// <param name="sources">What to wait for. Queues that are always busy take turns, and do not hide a change of configuration.</param>
    /// <param name="timeout">The longest to wait; for ever if it is infinite.</param>
    /// <returns>A queue that really has used buffers: <see cref="DriverQueue.TryGet"/>. The configuration: <see cref="ConfigurationChanged"/>
    /// has been raised. None: the time ran out.</returns>
    /// <exception cref="DeviceException">The device needs a reset, or is broken: <see cref="Restore"/>.</exception>
    /// <exception cref="TransportException">The device is gone.</exception>
    public InterruptSource Wait(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        ThrowIfBroken();
        long start = _transport.Time.GetTimestamp();
        if (timeout == Timeout.InfiniteTimeSpan)
            timeout = TimeSpan.MaxValue;
        if (++_turn % BusyTurns == 0 && LooksAtConfiguration(sources))
            return InterruptSource.Configuration;

        for (bool hasLooked = false; ; hasLooked = true)
        {
            // Order matters: arm, look once more, and only then sleep.
            InterruptSource busy = FindBusy(sources);
            TimeSpan left = timeout - _transport.Time.GetElapsedTime(start);
            if (busy != InterruptSource.None || (hasLooked && left < TimeSpan.Zero))
                return busy;
            InterruptSource came = _transport.WaitForInterrupt(sources, left > TimeSpan.Zero ? left : TimeSpan.Zero);
            if (came == InterruptSource.Configuration)
                OnConfigurationInterrupt();
            if (!came.IsQueue)
                return came == InterruptSource.None ? FindBusy(sources) : came;
        }
    }

    /// <summary>Gives the device up: nothing that it does is believed any more, and its queues throw.</summary>
    /// <param name="reason">What was wrong.</param>
    public void Break(string reason)
    {
        Broken ??= reason;
        foreach (DriverQueue queue in _queues.Values)
            queue.Break(Broken);
    }

    /// <summary>To be asked before anything is written to memory of the device's: it may have gone with the device.</summary>
    /// <exception cref="DeviceException">The device is <see cref="Broken"/>.</exception>
    public void ThrowIfBroken()
    {
        if (Broken is { } reason)
            throw new DeviceException(reason);
    }

    private bool LooksAtConfiguration(ReadOnlySpan<InterruptSource> sources)
    {
        if (!sources.Contains(InterruptSource.Configuration)
            || _transport.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero) != InterruptSource.Configuration)
        {
            return false;
        }

        OnConfigurationInterrupt();
        return true;
    }

    private InterruptSource FindBusy(ReadOnlySpan<InterruptSource> sources)
    {
        for (int i = 0; i < sources.Length; i++)
        {
            InterruptSource source = sources[(int)((uint)(_turn + i) % (uint)sources.Length)];
            if (!source.IsQueue)
                continue;
            DriverQueue queue = Queue(source.QueueIndex);
            if (queue.Broken is { } reason)
                Break(reason);
            ThrowIfBroken();
            if (queue.RearmInterrupts())
                return source;
        }

        return InterruptSource.None;
    }

    /// <summary>The same notification says that the configuration has changed and that the device needs a reset (§2.1.2).</summary>
    private void OnConfigurationInterrupt()
    {
        DeviceStatus status = _transport.ReadStatus();
        if ((byte)status == 0xFF)
            Break("device status reads 0xff: the device has been unplugged");
        else if ((status & DeviceStatus.NeedsReset) != 0)
            Break($"device status reads {status}: the device needs a reset");
        ThrowIfBroken();
        ConfigurationChanged?.Invoke(this, EventArgs.Empty);
    }
}
