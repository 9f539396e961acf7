using System.Diagnostics;

namespace VirtioSharp.Transports.Tracing;

/// <summary>Records the way of requests from their driver to the device and back, step by step, as the parts of it report in.</summary>
/// <remarks>
/// One thread at a time. The clock stands still while the tracing itself works (<see cref="Pause"/>), so that looking at a ring
/// does not make the step longer in which somebody looked. What cannot be left out is two readings of the clock per step.
/// </remarks>
public sealed class Walk
{
    /// <summary>Enough for a probe and some requests; a program that goes on for ever does not fill the memory.</summary>
    public const int MaxSteps = 10_000;

    private readonly List<WalkStep> _steps = [];
    private readonly Stack<WalkStep> _open = [];
    private long _start; // of the first step
    private TimeSpan _last;
    private long _paused;
    private long _pausedSince;

    /// <summary>All steps in the order in which they began.</summary>
    public IReadOnlyList<WalkStep> Steps => _steps;

    /// <summary>Whether steps are recorded now.</summary>
    public bool IsRecording { get; private set; } = true;

    /// <summary>The ring before the first request, if the walk came that far.</summary>
    public RingPicture? RingBefore { get; set; }

    /// <summary>The ring when the walk ended.</summary>
    public RingPicture? RingAfter { get; set; }

    /// <summary>Begins a step inside the one that is open. End it with <see cref="End"/>.</summary>
    /// <returns>Null when nothing is recorded.</returns>
    public WalkStep? Begin(WalkSide side, string name, string section = "")
    {
        if (!IsRecording || _steps.Count == MaxSteps)
            return null;
        if (_start == 0)
            _start = Stopwatch.GetTimestamp();
        _last = Now;
        return Open(side, name, section, _last);
    }

    /// <summary>Goes on with the step that has just ended, if it was the same: a run of reads is one step with many details.</summary>
    public WalkStep? BeginOrContinue(WalkSide side, string name, string section = "")
    {
        int depth = _open.TryPeek(out WalkStep? parent) ? parent.Depth + 1 : 0;
        if (!IsRecording || _steps.Count == 0 || _steps[^1] is not { } last || last.Side != side || last.Name != name || last.Depth != depth)
            return Begin(side, name, section);
        _open.Push(last);
        return last;
    }

    /// <summary>Ends a step, and whatever was left open inside it.</summary>
    /// <param name="step">What <see cref="Begin"/> gave.</param>
    /// <param name="detail">What it touched.</param>
    public void End(WalkStep? step, string detail = "")
    {
        if (step is null)
            return;
        TimeSpan now = _last = Now;
        if (detail.Length > 0)
            step.Lines.Add(detail);
        while (_open.TryPop(out WalkStep? open))
        {
            open.Duration = now - open.Start;
            if (open == step)
                return;
        }
    }

    /// <summary>A step that begins and ends now.</summary>
    public WalkStep? Mark(WalkSide side, string name, string section = "", string detail = "")
    {
        WalkStep? step = Begin(side, name, section);
        End(step, detail);
        return step;
    }

    /// <summary>A step that fills the time since the last beginning or end of any step: what nobody watched, but must have happened.</summary>
    public WalkStep? Fill(WalkSide side, string name, string section = "", string detail = "")
    {
        if (!IsRecording || _steps.Count == MaxSteps)
            return null;
        WalkStep step = Open(side, name, section, _last);
        End(step, detail);
        return step;
    }

    /// <summary>A step that was measured elsewhere, after all steps so far.</summary>
    /// <param name="side">Whose work it was.</param>
    /// <param name="name">What was done.</param>
    /// <param name="section">Where the specification has it, or empty.</param>
    /// <param name="depth">0 for the outermost.</param>
    /// <param name="start">From the beginning of the walk.</param>
    /// <param name="duration">How long it took.</param>
    /// <param name="details">What it touched, a line each.</param>
    public void Add(WalkSide side, string name, string section, int depth, TimeSpan start, TimeSpan duration, IEnumerable<string> details)
    {
        if (!IsRecording || _steps.Count == MaxSteps)
            return;
        var step = new WalkStep(side, name, section, depth, start) { Duration = duration };
        step.Lines.AddRange(details);
        _steps.Add(step);
    }

    /// <summary>Stops the walk's clock until <see cref="Resume"/>.</summary>
    public void Pause() => _pausedSince = Stopwatch.GetTimestamp();

    /// <summary>Lets the clock go on.</summary>
    public void Resume() => _paused += Stopwatch.GetTimestamp() - _pausedSince;

    /// <summary>Records no more: the request has come to its end.</summary>
    public void Close() => IsRecording = false;

    private WalkStep Open(WalkSide side, string name, string section, TimeSpan start)
    {
        var step = new WalkStep(side, name, section, _open.TryPeek(out WalkStep? parent) ? parent.Depth + 1 : 0, start);
        _steps.Add(step);
        _open.Push(step);
        return step;
    }

    private TimeSpan Now => Stopwatch.GetElapsedTime(_start, Stopwatch.GetTimestamp() - _paused);
}
