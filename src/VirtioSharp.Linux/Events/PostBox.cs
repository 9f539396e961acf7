namespace VirtioSharp.Linux;

/// <summary>Where other threads leave work for the loop, and the bell that wakes it.</summary>
internal sealed class PostBox : IReadyHandler, IDisposable
{
    private readonly Lock _lock = new();
    private readonly Queue<Action> _actions = new();
    private readonly EventFd _bell = EventFd.Create();
    private bool _rung;
    private bool _closed;

    public FileDescriptor Descriptor => _bell.Descriptor;

    /// <returns>False when the loop is gone.</returns>
    public bool TryPost(Action action)
    {
        lock (_lock)
        {
            if (_closed)
                return false;
            _actions.Enqueue(action);
            Ring();
            return true;
        }
    }

    /// <summary>Wakes the loop; nothing happens when the loop is gone.</summary>
    public void Wake()
    {
        lock (_lock)
        {
            if (!_closed)
                Ring();
        }
    }

    public void OnReady(EpollEvents ready)
    {
        int count;
        lock (_lock)
        {
            _bell.TryDrain(out _);
            _rung = false;
            count = _actions.Count; // what these post in turn waits for the next round: others are ready too
        }

        try
        {
            for (; count > 0; count--)
                Next()();
        }
        finally
        {
            // An action that throws leaves its successors here; whoever runs the loop again finds them.
            if (count > 0)
                Wake();
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            _actions.Clear();
            _bell.Dispose();
        }
    }

    private Action Next()
    {
        lock (_lock)
            return _actions.Dequeue();
    }

    private void Ring()
    {
        if (_rung)
            return; // one system call per wake-up, however many post
        _rung = true;
        _bell.Signal();
    }
}
