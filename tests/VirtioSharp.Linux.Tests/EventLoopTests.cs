namespace VirtioSharp.Linux.Tests;

public sealed class EventLoopTests : IDisposable
{
    private readonly EventLoop _loop = new();

    public void Dispose() => _loop.Dispose();

    [Fact]
    public void A_ready_descriptor_calls_its_handler_until_it_is_drained()
    {
        using EventFd kick = EventFd.Create();
        int calls = 0;
        using IEventRegistration registration = _loop.Register(kick.Descriptor, EpollEvents.In, new Handler(ready =>
        {
            Assert.Equal(EpollEvents.In, ready);
            if (++calls < 3)
                return;
            kick.TryDrain(out _);
            _loop.Post(_loop.Stop);
        }));

        kick.Signal();
        _loop.Run();

        Assert.Equal(3, calls);
    }

    [Fact]
    public void A_stop_before_run_is_not_lost()
    {
        _loop.Stop();

        _loop.Run();

        Assert.True(_loop.IsStopped);
    }

    [Fact]
    public async Task Another_thread_can_stop_a_sleeping_loop()
    {
        Task running = Task.Run(_loop.Run, TestContext.Current.CancellationToken);

        _loop.Stop();

        await running;
    }

    [Fact]
    public void After_stop_no_further_handler_of_the_batch_is_called()
    {
        using EventFd one = EventFd.Create();
        using EventFd two = EventFd.Create();
        int calls = 0;
        Handler handler = new(_ =>
        {
            calls++;
            _loop.Stop();
        });
        _loop.Register(one.Descriptor, EpollEvents.In, handler);
        _loop.Register(two.Descriptor, EpollEvents.In, handler);

        one.Signal();
        two.Signal();
        _loop.Run();

        Assert.Equal(1, calls);
    }

    [Fact]
    public void A_handler_removed_by_another_of_the_same_batch_is_not_called()
    {
        using EventFd one = EventFd.Create();
        using EventFd two = EventFd.Create();
        List<IEventRegistration> registrations = [];
        int calls = 0;
        Handler handler = new(_ =>
        {
            calls++;
            registrations.ForEach(r => r.Dispose());
            _loop.Post(_loop.Stop);
        });
        registrations.Add(_loop.Register(one.Descriptor, EpollEvents.In, handler));
        registrations.Add(_loop.Register(two.Descriptor, EpollEvents.In, handler));

        one.Signal();
        two.Signal();
        _loop.Run();

        Assert.Equal(1, calls);
    }

    [Fact]
    public void A_stale_event_does_not_reach_the_handler_that_took_over_the_place()
    {
        using EventFd one = EventFd.Create();
        using EventFd two = EventFd.Create();
        using EventFd third = EventFd.Create(); // never signalled
        using EventFd fourth = EventFd.Create(); // never signalled
        List<IEventRegistration> registrations = [];
        int strays = 0;
        Handler handler = new(_ =>
        {
            registrations.ForEach(r => r.Dispose());
            _loop.Register(third.Descriptor, EpollEvents.In, new Handler(_ => strays++));
            _loop.Register(fourth.Descriptor, EpollEvents.In, new Handler(_ => strays++));
            _loop.Post(() => _loop.Post(_loop.Stop));
        });
        registrations.Add(_loop.Register(one.Descriptor, EpollEvents.In, handler));
        registrations.Add(_loop.Register(two.Descriptor, EpollEvents.In, handler));

        one.Signal();
        two.Signal();
        _loop.Run();

        Assert.Equal(0, strays);
    }

    [Fact]
    public void A_handler_paused_by_another_of_the_same_batch_is_not_called()
    {
        using EventFd one = EventFd.Create();
        using EventFd two = EventFd.Create();
        List<IEventRegistration> registrations = [];
        int calls = 0;
        Handler handler = new(_ =>
        {
            calls++;
            registrations.ForEach(r => r.Update(EpollEvents.None));
            _loop.Post(_loop.Stop);
        });
        registrations.Add(_loop.Register(one.Descriptor, EpollEvents.In, handler));
        registrations.Add(_loop.Register(two.Descriptor, EpollEvents.In, handler));

        one.Signal();
        two.Signal();
        _loop.Run();

        Assert.Equal(1, calls);
    }

    [Fact]
    public void A_peers_copy_of_a_disposed_descriptor_does_not_call_a_removed_handler()
    {
        using EventFd peers = EventFd.Create();
        EventFd ours = EventFd.Adopt(peers.Descriptor.Duplicate());
        int calls = 0;
        IEventRegistration registration = _loop.Register(ours.Descriptor, EpollEvents.In, new Handler(_ => calls++));

        ours.Dispose(); // the wrong order, which must not hurt
        registration.Dispose();
        peers.Signal();
        _loop.Post(_loop.Stop);
        _loop.Run();

        Assert.Equal(0, calls);
        Assert.True(ours.Descriptor.IsClosed);
    }

    [Fact]
    public void Closing_the_loop_lets_go_of_the_descriptors()
    {
        using Peer peer = Peer.Connect();
        _loop.Register(peer.There.Descriptor, EpollEvents.In, new Handler(_ => { }));
        peer.There.Dispose();
        Assert.False(peer.ThereIsClosed);

        _loop.Dispose();

        Assert.True(peer.ThereIsClosed);
    }

    [Fact]
    public void A_descriptor_that_cannot_be_watched_is_refused_and_not_kept_open()
    {
        FileDescriptor file = MemFd.Create("always-ready", 0);

        Assert.Throws<LinuxException>(() => _loop.Register(file, EpollEvents.In, new Handler(_ => { })));

        file.Dispose();
        Assert.True(file.IsClosed);
    }

    [Fact]
    public void An_exception_of_a_handler_comes_out_of_run_and_the_loop_can_go_on()
    {
        int after = 0;
        _loop.Post(() => throw new InvalidDataException("from the handler"));
        _loop.Post(() => after++);
        _loop.Post(_loop.Stop);

        InvalidDataException failure = Assert.Throws<InvalidDataException>(_loop.Run);
        Assert.Equal("from the handler", failure.Message);
        Assert.Equal(0, after);

        _loop.Run();

        Assert.Equal(1, after);
    }

    [Fact]
    public void Actions_posted_by_many_threads_all_run_on_the_loops_thread()
    {
        const int Threads = 4;
        const int Each = 1_000;
        int count = 0;
        HashSet<int> seen = [];
        Thread[] posters = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < Each; i++)
            {
                _loop.Post(() =>
                {
                    seen.Add(Environment.CurrentManagedThreadId);
                    if (++count == Threads * Each)
                        _loop.Stop();
                });
            }
        }))];

        Array.ForEach(posters, t => t.Start());
        _loop.Run();
        Array.ForEach(posters, t => t.Join());

        Assert.Equal(Threads * Each, count);
        Assert.Equal([Environment.CurrentManagedThreadId], seen);
    }

    [Fact]
    public void Actions_of_one_thread_run_in_order()
    {
        List<int> order = [];
        for (int i = 0; i < 10; i++)
        {
            int number = i;
            _loop.Post(() => order.Add(number));
        }

        _loop.Post(_loop.Stop);
        _loop.Run();

        Assert.Equal(Enumerable.Range(0, 10), order);
    }

    [Fact]
    public void Deferred_work_goes_on_after_the_other_descriptors_and_is_waiting_only_once()
    {
        using EventFd control = EventFd.Create();
        List<string> order = [];
        int turns = 0;
        Deferred queue = null!;
        queue = new Deferred(() =>
        {
            order.Add("queue");
            control.Signal();
            if (++turns == 3)
            {
                _loop.Stop();
                return;
            }

            _loop.Defer(queue);
            _loop.Defer(queue);
        });
        _loop.Register(control.Descriptor, EpollEvents.In, new Handler(ready =>
        {
            control.TryDrain(out _);
            order.Add("control");
        }));

        _loop.Defer(queue);
        _loop.Run();

        Assert.Equal(["queue", "control", "queue", "control", "queue"], order);
    }

    [Fact]
    public async Task Only_the_loops_thread_may_touch_a_running_loop()
    {
        using EventFd kick = EventFd.Create();
        TaskCompletionSource started = new(TaskCreationOptions.RunContinuationsAsynchronously); // or the rest of the test would run on the loop's thread
        Deferred work = new(() => { });
        ILoopTimer timer = _loop.CreateTimer(() => { });
        _loop.Post(started.SetResult);
        Task running = Task.Factory.StartNew(
            _loop.Run, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await started.Task;

        Assert.Throws<InvalidOperationException>(() => _loop.Register(kick.Descriptor, EpollEvents.In, new Handler(_ => { })));
        Assert.Throws<InvalidOperationException>(() => _loop.Defer(work));
        Assert.Throws<InvalidOperationException>(() => timer.Arm(TimeSpan.Zero));
        Assert.Throws<InvalidOperationException>(_loop.Run);
        Assert.Throws<InvalidOperationException>(_loop.Dispose);

        _loop.Stop();
        await running;
    }

    [Fact]
    public void After_dispose_posting_is_an_error_and_stopping_is_not()
    {
        _loop.Dispose();

        _loop.Stop();
        Assert.Throws<ObjectDisposedException>(() => _loop.Post(() => { }));
        Assert.Throws<ObjectDisposedException>(_loop.Run);
    }
}
