namespace VirtioSharp.Linux;

/// <summary>The armed timers of a loop, earliest first; timers for the same instant in the order they were armed.</summary>
/// <remarks>A list, not a heap: a device has a handful of timers, and inserting into the list allocates nothing.</remarks>
internal sealed class LoopTimers(EventLoop loop, TimeProvider time)
{
    private LoopTimer? _first;
    private long _armings;

    /// <summary>How long the loop may sleep: until the first timer is due, or for ever.</summary>
    public TimeSpan UntilNext => _first is null ? Timeout.InfiniteTimeSpan : ToTimeSpan(_first.Due - time.GetTimestamp());

    public LoopTimer Create(Action callback) => new(this, callback);

    /// <summary>Calls back every timer that is due. One that a callback arms has to wait for the next round.</summary>
    public void RunDue()
    {
        if (_first is null)
            return;

        long now = time.GetTimestamp();
        long armings = _armings;
        while (NextDue(now, armings) is { } timer)
        {
            Remove(timer);
            timer.Callback();
        }
    }

    public void Arm(LoopTimer timer, TimeSpan dueIn)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dueIn, TimeSpan.Zero);
        loop.RequireLoopThread();
        Remove(timer);
        timer.Due = time.GetTimestamp() + ToTimestamp(dueIn);
        timer.Arming = _armings++;

        LoopTimer? before = null;
        LoopTimer? after = _first;
        while (after is not null && after.Due <= timer.Due)
            (before, after) = (after, after.Next);

        timer.Next = after;
        timer.IsArmed = true;
        if (before is null)
            _first = timer;
        else
            before.Next = timer;
    }

    public void Disarm(LoopTimer timer)
    {
        loop.RequireLoopThread();
        Remove(timer);
    }

    private LoopTimer? NextDue(long now, long armings)
    {
        LoopTimer? timer = _first;
        while (timer is not null && timer.Due <= now && timer.Arming >= armings)
            timer = timer.Next;
        return timer is not null && timer.Due <= now ? timer : null;
    }

    private void Remove(LoopTimer timer)
    {
        if (!timer.IsArmed)
            return;
        timer.IsArmed = false;
        if (_first == timer)
        {
            _first = timer.Next;
        }
        else
        {
            LoopTimer before = _first!;
            while (before.Next != timer)
                before = before.Next!;
            before.Next = timer.Next;
        }

        timer.Next = null;
    }

    // 128 bits: a timestamp counts nanoseconds, and a century of those times ten million does not fit in 64.
    private long ToTimestamp(TimeSpan span) =>
        (long)Int128.Min((Int128)span.Ticks * time.TimestampFrequency / TimeSpan.TicksPerSecond, long.MaxValue / 2);

    // Upwards, so that the loop does not wake a moment before the timer is due and spin until then.
    private TimeSpan ToTimeSpan(long timestamps) => timestamps <= 0
        ? TimeSpan.Zero
        : new TimeSpan((long)Int128.Min(
            ((Int128)timestamps * TimeSpan.TicksPerSecond + time.TimestampFrequency - 1) / time.TimestampFrequency,
            TimeSpan.MaxValue.Ticks));
}
