using System.Diagnostics;

namespace VirtioSharp.Linux;

/// <summary>Spends a little time looking for work before the loop sleeps. Real time: a test's clock would stand still here.</summary>
internal sealed class IdlePollers
{
    private readonly List<IIdlePoller> _pollers = [];

    public TimeSpan BusyPollTime { get; set; }

    public void Add(IIdlePoller poller) => _pollers.Add(poller);

    public void Remove(IIdlePoller poller) => _pollers.Remove(poller);

    /// <returns>True when there was work, so that the loop had better not sleep.</returns>
    public bool FindWork(TimeSpan untilTimer)
    {
        if (_pollers.Count == 0)
            return false;

        TimeSpan limit = untilTimer >= TimeSpan.Zero && untilTimer < BusyPollTime ? untilTimer : BusyPollTime;
        long start = Stopwatch.GetTimestamp();
        do
        {
            if (PollAll())
                return true;
        }
        while (limit > TimeSpan.Zero && Stopwatch.GetElapsedTime(start) < limit);

        return PrepareAll();
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
