namespace VirtioSharp.Linux;

/// <summary>One timer, and its link in the list of those that are armed.</summary>
internal sealed class LoopTimer(LoopTimers timers, Action callback) : ILoopTimer
{
    public Action Callback => callback;

    /// <summary>A timestamp of the loop's time provider.</summary>
    public long Due { get; set; }

    /// <summary>How many armings the loop had seen before this one.</summary>
    public long Arming { get; set; }

    public LoopTimer? Next { get; set; }

    public bool IsArmed { get; set; }

    public void Arm(TimeSpan dueIn) => timers.Arm(this, dueIn);

    public void Disarm() => timers.Disarm(this);
}
