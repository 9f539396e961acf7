using System.Diagnostics;

namespace VirtioSharp.Linux;

/// <summary>Spends a little time looking for work before the loop sleeps. Real time: a test's clock would stand still here.</summary>
/// <remarks>
/// Looking pays while work comes in quick succession, and is a waste of a processor when it does not. The last idle time tells
/// which: one that looking would have bridged is followed by looking, a longer one by sleeping at once.
/// </remarks>
internal sealed class IdlePollers
{
    private readonly List<IIdlePoller> _pollers = [];
    private long _idleSince; // 0: there was work since
    private bool _looking = true;

    public TimeSpan BusyPollTime { get; set; }

    public void Add(IIdlePoller poller) => _pollers.Add(poller);

    public void Remove(IIdlePoller poller) => _pollers.Remove(poller);

    /// <returns>True when there was work, so that the loop had better not sleep.</returns>
    public bool FindWork(TimeSpan untilTimer)
    {
        if (_pollers.Count == 0)
            return false;

        long start = Stopwatch.GetTimestamp();
        if (_idleSince != 0)
            _looking = Stopwatch.GetElapsedTime(_idleSince, start) <= BusyPollTime;
        bool found = Look(start, untilTimer) || PrepareAll();
        _idleSince = found ? 0 : start;
        return found;
    }

    private bool Look(long start, TimeSpan untilTimer)
    {
        TimeSpan limit = _looking ? BusyPollTime : TimeSpan.Zero;
        if (untilTimer >= TimeSpan.Zero && untilTimer < limit)
            limit = untilTimer;
        do
        {
            if (PollAll())
                return true;
        }
        while (limit > TimeSpan.Zero && Stopwatch.GetElapsedTime(start) < limit);
        return false;
    }

    // All of them, not up to the first that has work: the busiest queue must not starve its neighbours.
    private bool PollAll()
    {
        bool found = false;
        for (int i = 0; i < _pollers.Count; i++) // by index: a poller may remove itself
            found |= _pollers[i].Poll();
        return found;
    }

    private bool PrepareAll()
    {
        bool found = false;
        for (int i = 0; i < _pollers.Count; i++)
            found |= _pollers[i].BeforeSleep();
        return found;
    }
}
