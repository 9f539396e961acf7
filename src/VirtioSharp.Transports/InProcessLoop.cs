using VirtioSharp.Core.Device;

namespace VirtioSharp.Transports;

/// <summary>What a device host needs of a loop, where there is none: whoever carries driver and device asks what is due.</summary>
/// <param name="time">The device's clock.</param>
/// <param name="changed">Is told when something is newly due, or due at another time; null when the carrier asks often enough.</param>
internal sealed class InProcessLoop(TimeProvider time, Action? changed = null) : IWakeUp
{
    private (long Start, TimeSpan Delay)? _alarm;

    /// <summary>Whether completions wait to be shown to the driver.</summary>
    public bool NeedsFlush { get; private set; }

    /// <summary>How long until the device's alarm; null when it has set none.</summary>
    public TimeSpan? UntilAlarm
    {
        get
        {
            if (_alarm is not { } alarm)
                return null;
            TimeSpan left = alarm.Delay - time.GetElapsedTime(alarm.Start);
            return left > TimeSpan.Zero ? left : TimeSpan.Zero;
        }
    }

    public void WakeAfter(TimeSpan delay)
    {
        _alarm = (time.GetTimestamp(), delay);
        changed?.Invoke();
    }

    public void FlushSoon()
    {
        NeedsFlush = true;
        changed?.Invoke();
    }

    /// <summary>The device is about to be served, or has been reset.</summary>
    public void ClearAlarm() => _alarm = null;

    /// <summary>Waits for the alarm and takes it.</summary>
    /// <param name="timeout">The longest to wait; what is left of it.</param>
    /// <returns>False when it does not go off in that time.</returns>
    public bool WaitForAlarm(ref TimeSpan timeout)
    {
        if (UntilAlarm is not { } delay || delay > timeout)
            return false;
        if (delay > TimeSpan.Zero)
        {
            Thread.Sleep((int)Math.Ceiling(delay.TotalMilliseconds)); // a TimeSpan is cut to whole milliseconds, and the device would be woken too early
            timeout -= delay;
        }

        _alarm = null;
        return true;
    }

    /// <summary>Whether the host is to be flushed, since the last call.</summary>
    public bool TakeFlush()
    {
        bool needed = NeedsFlush;
        NeedsFlush = false;
        return needed;
    }
}
