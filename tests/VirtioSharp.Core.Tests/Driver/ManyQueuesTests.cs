using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Core.Tests.Driver;

public sealed class ManyQueuesTests : IDisposable
{
    private readonly RegisterTransport _transport = new() { QueueSizes = [64, 16, 0, 1024] };

    public void Dispose() => _transport.Dispose();

    [Fact]
    public void Queues_that_are_asked_for_together_share_one_set_up_of_interrupts()
    {
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);

        session.EnableQueues(new(0, "receive"), new(1, "transmit", MaxSize: 8), new(3, "control", MaxSize: 100));

        Assert.Equal(["interrupts 4 VectorPerQueue", "queue 0", "queue 1", "queue 3"], _transport.Journal[^4..]);
        Assert.Equal([64, 8, 64], new[] { 0, 1, 3 }.Select(index => session.Queue(index).Layout.Size));
    }

    [Fact]
    public void An_optional_queue_may_be_absent()
    {
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);

        session.EnableQueues(new(0, "inflate"), new(2, "stats", IsOptional: true));

        Assert.Equal((true, false), (session.IsEnabled(0), session.IsEnabled(2)));
        Assert.Equal("queue 2 has not been enabled", Assert.Throws<InvalidOperationException>(() => session.Queue(2)).Message);
    }

    [Fact]
    public void A_queue_that_the_driver_needs_may_not()
    {
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);

        var refusal = Assert.Throws<QueueException>(() => session.EnableQueues(new(0, "inflate"), new(2, "stats")));

        Assert.Equal("queue 2 (stats) does not exist: its size reads 0", refusal.Message);
        Assert.Equal("status 139", _transport.Journal[^1]);
    }

    [Fact]
    public void The_session_says_what_kind_of_interrupt_it_got()
    {
        _transport.Interrupts = InterruptKind.Line;
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);
        Assert.Null(session.Interrupts);

        session.BestInterrupts = InterruptKind.SharedVector;
        session.EnableQueues(new QueueRequest(0, "request"));
        session.EnableQueue(1);

        Assert.Equal(InterruptKind.Line, session.Interrupts);
        Assert.Equal(["interrupts 1 SharedVector", "queue 0", "queue 1"], _transport.Journal[^3..]);
    }

    [Fact]
    public void A_driver_that_enables_its_queues_one_by_one_gets_interrupts_for_all_of_them()
    {
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);

        session.EnableQueue(0);

        Assert.Equal("interrupts 4 VectorPerQueue", _transport.Journal[^2]);
    }
}
