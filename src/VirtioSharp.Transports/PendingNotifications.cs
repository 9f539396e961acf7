using VirtioSharp.Core.Driver;

namespace VirtioSharp.Transports;

/// <summary>Notifications that have come in for a driver, until it asks for them.</summary>
/// <param name="queues">How many queues may be asked for; others have none.</param>
internal sealed class PendingNotifications(int queues = 0)
{
    private bool[] _queues = new bool[queues];

    /// <summary>How many queues may be asked for.</summary>
    public int QueueCount => _queues.Length;

    /// <summary>The configuration has changed.</summary>
    public bool Configuration { get; set; }

    /// <summary>A queue has used buffers.</summary>
    public ref bool this[int queue] => ref _queues[queue];

    /// <summary>Any queue may have used buffers.</summary>
    public void AddAllQueues() => Array.Fill(_queues, true);

    /// <summary>Nothing has come in.</summary>
    public void Clear()
    {
        Array.Clear(_queues);
        Configuration = false;
    }

    /// <summary>More queues may be asked for.</summary>
    /// <param name="queues">How many in all.</param>
    /// <param name="pending">What holds for the new ones.</param>
    public void Grow(int queues, bool pending = false)
    {
        int before = _queues.Length;
        if (queues <= before)
            return;
        Array.Resize(ref _queues, queues);
        Array.Fill(_queues, pending, before, queues - before);
    }

    /// <summary>Takes the first that came in, of those asked for.</summary>
    public InterruptSource Take(ReadOnlySpan<InterruptSource> sources)
    {
        foreach (InterruptSource source in sources)
        {
            if (TryTake(source))
                return source;
        }

        return InterruptSource.None;
    }

    private bool TryTake(InterruptSource source)
    {
        if (source == InterruptSource.Configuration)
        {
            bool changed = Configuration;
            Configuration = false;
            return changed;
        }

        if (!source.IsQueue || source.QueueIndex >= _queues.Length)
            return false;
        bool used = _queues[source.QueueIndex];
        _queues[source.QueueIndex] = false;
        return used;
    }
}
