namespace VirtioSharp.Linux;

/// <summary>Joins a descriptor, an interest and a handler while they are in a loop.</summary>
internal sealed class EventRegistration : IEventRegistration
{
    private readonly EventLoop _loop;
    private readonly FileDescriptor _fd;
    private readonly IReadyHandler _handler;
    private readonly ulong _token;
    private EpollEvents _interest;
    private bool _removed;

    public EventRegistration(EventLoop loop, FileDescriptor fd, EpollEvents interest, IReadyHandler handler)
    {
        _loop = loop;
        _fd = fd;
        _handler = handler;
        _interest = interest;
        bool held = false;
        fd.DangerousAddRef(ref held); // open until epoll has let go of it
        _token = loop.Registrations.Insert(this);
        try
        {
            loop.Epoll.Add(fd, interest, _token);
        }
        catch
        {
            loop.Registrations.Remove(_token);
            fd.DangerousRelease();
            throw;
        }
    }

    public void Dispatch(EpollEvents ready)
    {
        // An earlier handler of this batch may have narrowed the interest.
        ready &= _interest | EpollEvents.Error | EpollEvents.HangUp;
        if (ready != EpollEvents.None)
            _handler.OnReady(ready);
    }

    public void Update(EpollEvents interest)
    {
        _loop.RequireLoopThread();
        ObjectDisposedException.ThrowIf(_removed, typeof(IEventRegistration));
        _loop.Epoll.Modify(_fd, interest, _token);
        _interest = interest;
    }

    public void Dispose()
    {
        if (_removed)
            return;
        _loop.RequireLoopThread();
        _removed = true;
        _loop.Registrations.Remove(_token);
        try
        {
            _loop.Epoll.Remove(_fd);
        }
        finally
        {
            _fd.DangerousRelease();
        }
    }
}
