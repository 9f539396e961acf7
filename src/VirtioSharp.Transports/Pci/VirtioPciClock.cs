using VirtioSharp.Core.Device;

namespace VirtioSharp.Transports.Pci;

/// <summary>What the device has asked to be called for, until somebody does it.</summary>
internal sealed class VirtioPciClock(TimeProvider time, Action changed) : IWakeUp
{
    private (long Start, TimeSpan Delay)? _alarm;

    /// <summary>Whether completions wait to be shown to the driver.</summary>
    public bool NeedsFlush { get; private set; }

    /// <summary>How long until the device's alarm.</summary>
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
        changed();
    }

    public void FlushSoon()
    {
        NeedsFlush = true;
        changed();
    }

    public void ClearAlarm() => _alarm = null;

    public void ClearFlush() => NeedsFlush = false;
}
