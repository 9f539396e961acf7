namespace VirtioSharp.Linux;

/// <summary>
/// One thread's work: it sleeps until a descriptor is ready, a timer is due or another thread posts, and serves them in turn.
/// </summary>
/// <remarks>
/// A round of the loop, which allocates nothing:
/// <code>
///   ┌► idle pollers ► sleep in epoll ► ready descriptors ► due timers ► deferred work ─┐
///   │  (only if nothing is deferred)   (posted actions are one of them)                │
///   └──────────────────────────────────────────────────────────────────────────────────┘
/// </code>
/// Only <see cref="Post"/> and <see cref="Stop"/> may be called from any thread. Everything else belongs to the thread that is
/// in <see cref="Run"/>, or, while none is, to whoever sets the loop up or takes it down.
/// </remarks>
public sealed class EventLoop : IDisposable
{
    private readonly PostBox _postBox;
    private readonly LoopTimers _timers;
    private readonly IdlePollers _idlePollers = new();
    private readonly Queue<IDeferred> _deferred = new();
    private volatile int _thread; // 0: nobody runs it
    private volatile bool _stopped;
    private bool _disposed;

    /// <summary>A loop that nobody runs yet.</summary>
    /// <param name="time">Which clock timers follow; the system's when null.</param>
    /// <exception cref="LinuxException">EMFILE, ENFILE.</exception>
    public EventLoop(TimeProvider? time = null)
    {
        _timers = new LoopTimers(this, time ?? TimeProvider.System);
        Epoll = new Epoll();
        _postBox = new PostBox();
        _ = Register(_postBox.Descriptor, EpollEvents.In, _postBox);
    }

    /// <summary>How long idle pollers are asked again and again before the loop sleeps; zero asks them once, and so does a loop
    /// whose last idle time was longer than this. Other descriptors wait meanwhile, so microseconds are meant.</summary>
    public TimeSpan BusyPollTime
    {
        get => _idlePollers.BusyPollTime;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value, TimeSpan.Zero);
            _idlePollers.BusyPollTime = value;
        }
    }

    /// <summary>True once <see cref="Stop"/> was called.</summary>
    public bool IsStopped => _stopped;

    internal Epoll Epoll { get; }

    internal RegistrationTable Registrations { get; } = new();

    /// <summary>Calls a handler whenever a descriptor is ready.</summary>
    /// <param name="fd">Still owned by the caller, but open until the registration is disposed, or the loop.</param>
    /// <param name="interest">What to wait for.</param>
    /// <param name="handler">Called on the loop's thread.</param>
    /// <exception cref="LinuxException">EEXIST: it is registered already; EPERM: files cannot be waited for.</exception>
    /// <exception cref="InvalidOperationException">Called from another thread than the loop's.</exception>
    public IEventRegistration Register(FileDescriptor fd, EpollEvents interest, IReadyHandler handler)
    {
        RequireLoopThread();
        return new EventRegistration(this, fd, interest, handler);
    }

    /// <summary>A timer that is not armed yet.</summary>
    /// <param name="callback">Called on the loop's thread.</param>
    public ILoopTimer CreateTimer(Action callback) => _timers.Create(callback);

    /// <summary>Continues this work after the descriptors that are ready now had their turn, so that a busy queue does not keep
    /// the control socket waiting. Work that is waiting already is not added twice.</summary>
    /// <param name="work">What to continue.</param>
    /// <exception cref="InvalidOperationException">Called from another thread than the loop's.</exception>
    public void Defer(IDeferred work)
    {
        RequireLoopThread();
        foreach (IDeferred waiting in _deferred) // Contains makes a comparer at its first use, and a round allocates nothing
        {
            if (ReferenceEquals(waiting, work))
                return;
        }

        _deferred.Enqueue(work);
    }

    /// <summary>Asks somebody for work before every sleep.</summary>
    /// <param name="poller">Who looks.</param>
    /// <exception cref="InvalidOperationException">Called from another thread than the loop's.</exception>
    public void AddIdlePoller(IIdlePoller poller)
    {
        RequireLoopThread();
        _idlePollers.Add(poller);
    }

    /// <summary>Does not ask any more. Nothing happens when it was not asked.</summary>
    /// <param name="poller">Who looked.</param>
    /// <exception cref="InvalidOperationException">Called from another thread than the loop's.</exception>
    public void RemoveIdlePoller(IIdlePoller poller)
    {
        RequireLoopThread();
        _idlePollers.Remove(poller);
    }

    /// <summary>Runs an action on the loop's thread, soon; actions of one thread in order. From any thread.</summary>
    /// <param name="action">What to run; dropped when the loop stops before its turn.</param>
    /// <exception cref="ObjectDisposedException">The loop was disposed.</exception>
    public void Post(Action action) => ObjectDisposedException.ThrowIf(!_postBox.TryPost(action), this);

    /// <summary>Ends <see cref="Run"/> after the handler it is in, and for good: a later Run returns at once. From any thread, also
    /// before Run or after Dispose, as a signal handler may be early or late.</summary>
    public void Stop()
    {
        _stopped = true;
        _postBox.Wake();
    }

    /// <summary>Serves until <see cref="Stop"/>. An exception that a handler lets out ends Run and comes out of it; the loop is
    /// intact then, and may be run again.</summary>
    /// <exception cref="InvalidOperationException">It is running already.</exception>
    public void Run()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (Interlocked.CompareExchange(ref _thread, Environment.CurrentManagedThreadId, 0) != 0)
            throw new InvalidOperationException("The loop is running already.");
        try
        {
            while (!_stopped)
                RunOneRound();
        }
        finally
        {
            _thread = 0;
        }
    }

    /// <summary>Lets go of all descriptors and closes what the loop itself had opened.</summary>
    /// <exception cref="InvalidOperationException">The loop is running.</exception>
    public void Dispose()
    {
        if (_disposed)
            return;
        if (_thread != 0)
            throw new InvalidOperationException("The loop is running; stop it and wait for Run to return.");
        _disposed = true;
        Registrations.Clear();
        Epoll.Dispose();
        _postBox.Dispose();
    }

    internal void RequireLoopThread()
    {
        int thread = _thread;
        if (thread != 0 && thread != Environment.CurrentManagedThreadId)
            throw new InvalidOperationException("The loop is running on another thread; use Post.");
    }

    private void RunOneRound()
    {
        int ready = Epoll.Wait(HowLongToSleep());
        for (int i = 0; i < ready && !_stopped; i++)
        {
            EpollReady one = Epoll[i];
            Registrations.Find(one.Token)?.Dispatch(one.Events);
        }

        if (!_stopped)
            _timers.RunDue();

        for (int left = _deferred.Count; left > 0 && !_stopped; left--)
            _deferred.Dequeue().TakeTurn();
    }

    private TimeSpan HowLongToSleep()
    {
        if (_deferred.Count > 0)
            return TimeSpan.Zero;
        TimeSpan untilTimer = _timers.UntilNext;
        if (untilTimer == TimeSpan.Zero || _idlePollers.FindWork(untilTimer))
            return TimeSpan.Zero;

        // A poller may have deferred work or armed a timer.
        return _deferred.Count > 0 ? TimeSpan.Zero : _timers.UntilNext;
    }
}
