using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Transports.Tracing;

/// <summary>Says what has changed in the rings since it last looked. Driver and device share one, so each change is told once.</summary>
/// <param name="walk">Its clock stands still meanwhile.</param>
public sealed class RingWatch(Walk walk)
{
    private readonly Dictionary<int, Watched> _queues = [];

    /// <summary>A queue is where the driver has put it.</summary>
    public void Enable(int queue, in QueueLayout layout, bool isPacked, DmaArena memory)
    {
        var watched = new Watched(layout, isPacked, memory);
        watched.Last = watched.Take();
        _queues[queue] = watched;
    }

    /// <summary>What the ring is like now; null before it is enabled.</summary>
    public RingPicture? Take(int queue)
    {
        walk.Pause();
        RingPicture? picture = _queues.TryGetValue(queue, out Watched? watched) ? watched.Take() : null;
        walk.Resume();
        return picture;
    }

    /// <summary>Adds to a step what has changed in the ring.</summary>
    public void Explain(WalkStep? step, int queue)
    {
        if (step is null || !_queues.TryGetValue(queue, out Watched? watched))
            return;
        walk.Pause();
        RingPicture now = watched.Take();
        foreach (RingField field in now.ChangedSince(watched.Last!))
            step.Lines.Add($"{field.Area}: {field}");
        watched.Last = now;
        walk.Resume();
    }

    private sealed class Watched(QueueLayout layout, bool isPacked, DmaArena memory)
    {
        public RingPicture? Last { get; set; }

        public RingPicture Take() => RingPicture.Take(layout, isPacked, memory);
    }
}
