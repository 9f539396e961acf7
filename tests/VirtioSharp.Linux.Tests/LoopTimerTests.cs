namespace VirtioSharp.Linux.Tests;

public sealed class LoopTimerTests : IDisposable
{
    private readonly ManualTime _time = new();
    private readonly EventLoop _loop;
    private readonly List<string> _fired = [];

    public LoopTimerTests() => _loop = new EventLoop(_time);

    public void Dispose() => _loop.Dispose();

    [Fact]
    public void Timers_fire_in_the_order_they_are_due_and_ties_in_the_order_armed()
    {
        Named("late").Arm(TimeSpan.FromSeconds(3));
        Named("early").Arm(TimeSpan.FromSeconds(1));
        Named("tie one").Arm(TimeSpan.FromSeconds(2));
        Named("tie two").Arm(TimeSpan.FromSeconds(2));

        RunFor(TimeSpan.FromSeconds(3));

        Assert.Equal(["early", "tie one", "tie two", "late"], _fired);
    }

    [Fact]
    public void A_timer_does_not_fire_before_it_is_due()
    {
        ILoopTimer timer = Named("timer");
        timer.Arm(TimeSpan.FromTicks(10));

        RunFor(TimeSpan.FromTicks(9));

        Assert.Empty(_fired);
        Assert.True(timer.IsArmed);
    }

    [Fact]
    public void A_timer_fires_once_per_arming()
    {
        ILoopTimer timer = Named("timer");
        timer.Arm(TimeSpan.FromSeconds(1));

        RunFor(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));

        Assert.Equal(["timer"], _fired);
        Assert.False(timer.IsArmed);
    }

    [Fact]
    public void A_disarmed_timer_does_not_fire_and_its_neighbours_do()
    {
        ILoopTimer[] timers = [Named("a"), Named("b"), Named("c")];
        Array.ForEach(timers, t => t.Arm(TimeSpan.FromSeconds(1)));

        timers[1].Disarm();
        timers[1].Disarm();
        RunFor(TimeSpan.FromSeconds(1));

        Assert.Equal(["a", "c"], _fired);
    }

    [Fact]
    public void Arming_again_replaces_the_time()
    {
        ILoopTimer timer = Named("moved");
        timer.Arm(TimeSpan.FromSeconds(1));
        Named("fixed").Arm(TimeSpan.FromSeconds(2));

        timer.Arm(TimeSpan.FromSeconds(3));
        RunFor(TimeSpan.FromSeconds(3));

        Assert.Equal(["fixed", "moved"], _fired);
    }

    [Fact]
    public void A_timer_that_arms_itself_for_now_leaves_the_others_their_turn()
    {
        ILoopTimer self = null!;
        int turns = 0;
        self = _loop.CreateTimer(() =>
        {
            turns++;
            self.Arm(TimeSpan.Zero);
        });
        self.Arm(TimeSpan.Zero);
        _loop.Post(() => _loop.Post(_loop.Stop));

        _loop.Run();

        Assert.InRange(turns, 1, 3);
    }

    [Fact]
    public void A_timer_may_disarm_another_that_is_due_too()
    {
        ILoopTimer victim = Named("victim");
        _loop.CreateTimer(victim.Disarm).Arm(TimeSpan.FromSeconds(1));
        victim.Arm(TimeSpan.FromSeconds(1));

        RunFor(TimeSpan.FromSeconds(1));

        Assert.Empty(_fired);
    }

    [Fact]
    public void The_longest_time_does_not_overflow_and_a_negative_one_is_refused()
    {
        ILoopTimer timer = Named("never");

        timer.Arm(TimeSpan.MaxValue);
        RunFor(TimeSpan.FromDays(1));

        Assert.True(timer.IsArmed);
        Assert.Throws<ArgumentOutOfRangeException>(() => timer.Arm(TimeSpan.FromTicks(-1)));
    }

    [Fact]
    public void A_sleeping_loop_wakes_up_for_a_timer()
    {
        using EventLoop loop = new();
        loop.CreateTimer(loop.Stop).Arm(TimeSpan.FromMicroseconds(300));

        loop.Run();

        Assert.True(loop.IsStopped);
    }

    private ILoopTimer Named(string name) => _loop.CreateTimer(() => _fired.Add(name));

    // Time passes while the loop serves a posted action; timers are looked at after it.
    private void RunFor(params TimeSpan[] steps)
    {
        Action next = () => _loop.Post(_loop.Stop);
        foreach (TimeSpan step in steps.Reverse())
        {
            Action then = next;
            next = () =>
            {
                _time.Advance(step);
                _loop.Post(then);
            };
        }

        _loop.Post(next);
        _loop.Run();
    }
}
