using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Driver;

/// <summary>A driver of several queues waits for all of them and for the configuration.</summary>
public sealed class WaitingTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly RegisterTransport _transport = new() { QueueSizes = [8, 8] };
    private readonly DriverSession _session;
    private readonly DmaBuffer _buffer;
    private int _changes;

    public WaitingTests()
    {
        _session = DriverSession.Open(_transport, DeviceId.Block);
        _session.EnableQueues(new(0, "first"), new(1, "second"));
        _session.Start();
        _session.ConfigurationChanged += (_, _) => _changes++;
        _buffer = _transport.Dma.Allocate(16);
    }

    public void Dispose() => _session.Dispose();

    [Fact]
    public void The_queue_that_has_used_buffers_is_named()
    {
        Offer(0);
        Offer(1);
        _transport.Sleeping = () =>
        {
            _transport.Use(1, 0, 16);
            _transport.Pending.Add(InterruptSource.Queue(1));
        };

        Assert.Equal(InterruptSource.Queue(1), _session.Wait(Patience));
        Assert.True(_session.Queue(1).TryGet(out _, out uint length));
        Assert.Equal(16u, length);
    }

    [Fact]
    public void A_wait_of_no_time_looks_once()
    {
        _transport.Pending.Add(InterruptSource.Configuration);

        Assert.Equal(InterruptSource.Configuration, _session.Wait([InterruptSource.Configuration], TimeSpan.Zero));
        Assert.Equal(InterruptSource.None, _session.Wait([InterruptSource.Configuration], TimeSpan.Zero));
        Assert.Equal(1, _changes);
    }

    [Fact]
    public void Interrupts_in_vain_are_tolerated()
    {
        Offer(0);
        int sleeps = 0;
        _transport.Sleeping = () =>
        {
            _transport.Pending.Add(InterruptSource.Queue(++sleeps % 2));
            if (sleeps == 5)
                _transport.Use(0, 0, 1);
        };

        Assert.Equal(InterruptSource.Queue(0), _session.Wait(Patience));
        Assert.Equal(5, sleeps);
    }

    [Fact]
    public void Nothing_comes_of_waiting_when_the_time_runs_out() => Assert.Equal(InterruptSource.None, _session.Wait(TimeSpan.Zero));

    [Fact]
    [Proves("Configuration space", "in process")]
    public void A_change_of_configuration_raises_the_event_on_the_thread_that_waits()
    {
        _transport.Pending.Add(InterruptSource.Configuration);

        Assert.Equal(InterruptSource.Configuration, _session.Wait(Patience));

        Assert.Equal(1, _changes);
    }

    [Fact]
    public void Busy_queues_take_turns_and_do_not_hide_a_change_of_configuration()
    {
        Offer(0);
        Offer(1);
        _transport.Use(0, 0, 1);
        _transport.Use(1, 0, 1);
        _transport.Pending.Add(InterruptSource.Configuration);

        List<InterruptSource> came = [.. Enumerable.Range(0, 100).Select(_ => _session.Wait(Patience))];

        Assert.Equal(1, _changes);
        Assert.InRange(came.Count(source => source == InterruptSource.Queue(0)), 25, 75);
        Assert.InRange(came.Count(source => source == InterruptSource.Queue(1)), 25, 75);
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_needs_a_reset_is_noticed_and_not_used_any_more()
    {
        Offer(0);
        _transport.Use(0, 0, 1);
        Assert.True(_session.Queue(0).TryGet(out _, out _));
        Offer(0);
        _transport.ShownStatus = honest => honest == DeviceStatus.Reset ? honest : honest | DeviceStatus.NeedsReset;
        _transport.Pending.Add(InterruptSource.Configuration);

        var failure = Assert.Throws<DeviceException>(() => _session.Wait(Patience));

        Assert.Equal("device status reads Acknowledge, Driver, DriverOk, FeaturesOk, NeedsReset: the device needs a reset", failure.Message);
        Assert.Equal(failure.Message, _session.Broken);
        Assert.Throws<DeviceException>(() => _session.Wait(Patience));
        Assert.Throws<QueueException>(() => _session.Queue(1).TryGet(out _, out _));
        Assert.Equal(0, _changes);
        Assert.Throws<QueueException>(() => Offer(0));
        _transport.Journal.Clear();
        _session.Queue(0).Kick();
        Assert.Empty(_transport.Journal);
    }

    [Fact]
    [Proves("Hostile device", "in process")]
    public void A_device_that_lies_in_one_queue_is_broken_in_all()
    {
        Offer(0);
        _transport.Use(0, 7, 1);
        Assert.Equal(InterruptSource.Queue(0), _session.Wait(Patience));
        var lie = Assert.Throws<QueueException>(() => _session.Queue(0).TryGet(out _, out _));

        Assert.Equal(lie.Message, Assert.Throws<DeviceException>(() => _session.Wait(Patience)).Message);
        Assert.Throws<QueueException>(() => _session.Queue(1).TryGet(out _, out _));
    }

    [Fact]
    public void Waiting_does_not_allocate()
    {
        Offer(0);
        _transport.Use(0, 0, 1);
        for (int i = 0; i < 200; i++)
            _session.Wait(Patience);
        long before = GC.GetAllocatedBytesForCurrentThread();

        for (int i = 0; i < 200; i++)
            _session.Wait(Patience);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private void Offer(int queue)
    {
        Assert.True(_session.Queue(queue).TryAdd([], [_buffer], out _));
        _session.Queue(queue).Kick();
    }
}
