namespace VirtioSharp.Linux.Tests;

public sealed class IdlePollerTests : IDisposable
{
    private readonly EventLoop _loop = new();

    public void Dispose() => _loop.Dispose();

    [Fact]
    public void A_poller_that_finds_work_keeps_the_loop_awake()
    {
        int work = 5;
        _loop.AddIdlePoller(new Poller(() =>
        {
            if (--work == 0)
                _loop.Stop();
            return true;
        }));

        _loop.Run();

        Assert.Equal(0, work);
    }

    [Fact]
    public void Every_poller_gets_its_turn_though_the_first_always_has_work()
    {
        _loop.AddIdlePoller(new Poller(() => true));
        _loop.AddIdlePoller(new Poller(() =>
        {
            _loop.Stop();
            return false;
        }));

        _loop.Run();

        Assert.True(_loop.IsStopped);
    }

    [Fact]
    public void Work_found_in_the_last_look_before_sleeping_keeps_the_loop_awake()
    {
        int looks = 0;
        _loop.AddIdlePoller(new Poller(() => false, beforeSleep: () =>
        {
            if (++looks == 2)
                _loop.Stop();
            return true;
        }));

        _loop.Run();

        Assert.Equal(2, looks);
    }

    [Fact]
    public void Polling_goes_on_for_the_busy_poll_time()
    {
        int polls = 0;
        _loop.BusyPollTime = TimeSpan.FromMinutes(1);
        _loop.AddIdlePoller(new Poller(() =>
        {
            if (++polls < 1000)
                return false;
            _loop.Stop();
            return true;
        }));

        _loop.Run();

        Assert.Equal(1000, polls);
    }

    [Theory]
    [InlineData(60_000, 1000)] // shorter than the busy poll time: the next request may be as near
    [InlineData(1, 1)]         // longer: looking would be in vain
    public void After_an_idle_time_polling_goes_on_only_if_that_could_have_bridged_it(int busyPollMilliseconds, int expected)
    {
        int polls = 0;
        bool awake = false;
        using var asleep = new ManualResetEventSlim();
        _loop.AddIdlePoller(new Poller(FindTheThousandth, beforeSleep: () =>
        {
            if (awake)
                _loop.Stop();
            asleep.Set();
            return false;
        }));
        var waker = new Thread(() =>
        {
            asleep.Wait();
            Thread.Sleep(50);
            _loop.Post(() =>
            {
                _loop.BusyPollTime = TimeSpan.FromMilliseconds(busyPollMilliseconds);
                awake = true;
            });
        });
        waker.Start();

        _loop.Run();

        waker.Join();
        Assert.Equal(expected, polls);

        bool FindTheThousandth()
        {
            if (!awake || ++polls < 1000)
                return false;
            _loop.Stop();
            return true;
        }
    }

    [Fact]
    public void Deferred_work_does_not_wait_for_busy_polling()
    {
        int polls = 0;
        _loop.AddIdlePoller(new Poller(() => ++polls < 0));

        _loop.Defer(new Deferred(_loop.Stop));
        _loop.Run();

        Assert.Equal(0, polls);
    }

    [Fact]
    public void A_timer_that_a_poller_arms_is_not_slept_over()
    {
        ILoopTimer timer = _loop.CreateTimer(_loop.Stop);
        Poller poller = null!;
        poller = new Poller(() =>
        {
            timer.Arm(TimeSpan.Zero);
            _loop.RemoveIdlePoller(poller);
            return false;
        });
        _loop.AddIdlePoller(poller);

        _loop.Run();

        Assert.True(_loop.IsStopped);
    }
}
