using VirtioSharp.Core.Device;

namespace VirtioSharp.Transports;

/// <summary>What a device host needs of a loop, where there is none: the carrier of driver and device asks, on their thread, what is due.</summary>
internal sealed class InProcessLoop(TimeProvider time) : IWakeUp
{
    private (long Start, TimeSpan Delay)? _alarm;
    private bool _needsFlush;

    public void WakeAfter(TimeSpan delay) => _alarm = (time.GetTimestamp(), delay);

    public void FlushSoon() => _needsFlush = true;

    /// <summary>Waits for the alarm and takes it.</summary>
    /// <param name="timeout">The longest to wait; what is left of it.</param>
    /// <returns>False when it does not go off in that time.</returns>
    public bool WaitForAlarm(ref TimeSpan timeout)
    {
        if (_alarm is not { } alarm)
            return false;
        TimeSpan delay = alarm.Delay - time.GetElapsedTime(alarm.Start);
        if (delay > timeout)
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
        bool needed = _needsFlush;
        _needsFlush = false;
        return needed;
    }
}
