using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Driver;

[Proves("Freeze and restore", "in process")]
public sealed class RestoreTests : IDisposable
{
    private readonly RegisterTransport _transport = new() { QueueSizes = [8, 4], Offered = Features.Version1 | FeatureSet.Bit(1) };
    private readonly DriverSession _session;

    public RestoreTests()
    {
        _session = DriverSession.Open(_transport, DeviceId.Block, wanted: FeatureSet.Bit(1));
        _session.EnableQueues(new(0, "first"), new(1, "second"));
        _session.Start();
    }

    public void Dispose() => _session.Dispose();

    [Fact]
    public void A_restored_device_has_the_same_features_and_the_same_queues_in_the_same_places()
    {
        var before = _transport.Enabled.ToDictionary();
        List<string> steps = [.. _transport.Journal];

        _session.Freeze();
        Assert.Empty(_transport.Enabled);
        Assert.False(_session.IsStarted);
        _transport.Journal.Clear();
        _session.Restore();
        _session.Start();

        Assert.Equal(steps, _transport.Journal);
        Assert.Equal(before, _transport.Enabled);
        Assert.Equal(_session.NegotiatedFeatures, _transport.Accepted);
    }

    [Fact]
    public void Queues_are_empty_and_work_and_cost_no_memory_however_often_it_is_done()
    {
        DmaBuffer buffer = _transport.Dma.Allocate(16);
        ulong mark = _transport.Dma.Mark;
        DriverQueue queue = _session.Queue(0);

        for (int i = 0; i < 1000; i++)
        {
            for (int chain = 0; chain < 8; chain++)
                Assert.True(queue.TryAdd([], [buffer], out _));
            Assert.False(queue.TryAdd([], [buffer], out _));
            queue.Kick();
            _transport.Use(0, 3, 5);
            Assert.True(queue.TryGet(out ushort id, out uint length));
            Assert.Equal((3, 5u), (id, length));
            _session.Restore();
            _session.Start();
            Assert.False(queue.TryGet(out _, out _));
        }

        Assert.Equal(mark, _transport.Dma.Mark);
    }

    [Fact]
    public void A_broken_device_works_again()
    {
        _session.Break("for the test");
        Assert.Throws<DeviceException>(() => _session.Wait(TimeSpan.Zero));

        _session.Restore();
        _session.Start();

        Assert.Null(_session.Broken);
        Assert.Equal(InterruptSource.None, _session.Wait(TimeSpan.Zero));
        Assert.False(_session.Queue(0).TryGet(out _, out _));
    }

    [Fact]
    public void A_device_that_offers_less_than_before_is_refused()
    {
        _transport.Offered = Features.Version1;

        var refusal = Assert.Throws<TransportException>(_session.Restore);

        Assert.Equal("the device offers 1 no more: it was agreed on before the reset", refusal.Message);
        Assert.Equal("status 131", _transport.Journal[^1]);
    }

    [Fact]
    public void A_device_with_less_room_for_a_queue_is_refused()
    {
        _transport.QueueSizes = [8, 2];

        var refusal = Assert.Throws<QueueException>(_session.Restore);

        Assert.Equal("queue 1 had 4 entries before the reset, and now its size reads 2", refusal.Message);
    }

    [Fact]
    public void A_device_that_does_not_reset_cannot_be_frozen()
    {
        _transport.ShownStatus = _ => DeviceStatus.DriverOk;

        Assert.Equal("device status still reads DriverOk after a reset", Assert.Throws<TransportException>(_session.Freeze).Message);
    }

    [Fact]
    public void A_device_that_is_pulled_out_meanwhile_is_gone()
    {
        _transport.ShownStatus = honest => (honest & DeviceStatus.FeaturesOk) != 0 ? (DeviceStatus)0xFF : honest;

        Assert.Equal("device status reads 0xff: the device has been unplugged", Assert.Throws<TransportException>(_session.Restore).Message);
    }
}
