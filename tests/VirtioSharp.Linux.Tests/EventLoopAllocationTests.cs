namespace VirtioSharp.Linux.Tests;

/// <summary>A kick, a deferred turn, a timer and an idle look per round, many times over.</summary>
public sealed class EventLoopAllocationTests : IReadyHandler, IDeferred, IIdlePoller, IDisposable
{
    private const int WarmUp = 200;
    private const int Rounds = 1_000;

    private readonly EventLoop _loop = new();
    private readonly EventFd _kick = EventFd.Create();
    private readonly ILoopTimer _first;
    private readonly ILoopTimer _second;
    private int _round;
    private long _before;
    private long _after;

    public EventLoopAllocationTests()
    {
        _first = _loop.CreateTimer(() => { });
        _second = _loop.CreateTimer(() => _kick.Signal());
    }

    [Fact]
    public void A_round_allocates_nothing()
    {
        IEventRegistration registration = _loop.Register(_kick.Descriptor, EpollEvents.In, this);
        _loop.AddIdlePoller(this);
        _kick.Signal();

        _loop.Run();

        registration.Dispose();
        Assert.Equal(_before, _after);
    }

    void IReadyHandler.OnReady(EpollEvents ready)
    {
        _kick.TryDrain(out _);
        _round++;
        if (_round == WarmUp)
            _before = GC.GetAllocatedBytesForCurrentThread();
        if (_round == WarmUp + Rounds)
        {
            _after = GC.GetAllocatedBytesForCurrentThread();
            _loop.Stop();
        }

        _loop.Defer(this);
        _loop.Defer(this);
    }

    void IDeferred.TakeTurn()
    {
        _second.Arm(TimeSpan.FromMicroseconds(1));
        _first.Arm(TimeSpan.Zero);
    }

    bool IIdlePoller.Poll() => false;

    public void Dispose()
    {
        _loop.Dispose();
        _kick.Dispose();
    }
}
