using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Driver;

/// <summary>What a session does and leaves out over a legacy interface (§2.7.2, §3.1.2).</summary>
[Proves("Legacy interface", "in process")]
public sealed class LegacySessionTests : IDisposable
{
    private readonly RegisterTransport _transport = new() { LegacyAlignment = 4096, Offered = Features.AnyLayout | Features.EventIdx, QueueSizes = [256] };

    public void Dispose() => _transport.Dispose();

    [Fact]
    public void There_is_no_FEATURES_OK_and_interrupts_come_before_the_first_queue()
    {
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);
        session.EnableQueue(0);
        session.Start();

        Assert.Equal(["status 0", "status 1", "status 3", "features", "interrupts 1 VectorPerQueue", "queue 0", "status 7"], _transport.Journal);
        Assert.True(session.IsLegacy);
    }

    [Fact]
    public void Only_the_first_32_feature_bits_count_and_ANY_LAYOUT_is_accepted()
    {
        _transport.Offered = new FeatureSet(ulong.MaxValue, ulong.MaxValue);

        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block, wanted: FeatureSet.Bit(5) | FeatureSet.Bit(60));

        Assert.Equal([5, 27, 28, 29], session.NegotiatedFeatures);
        Assert.Equal(session.NegotiatedFeatures, _transport.Accepted);
    }

    [Fact]
    public void NOTIFY_ON_EMPTY_is_accepted_when_the_driver_wants_it()
    {
        _transport.Offered = Features.NotifyOnEmpty;

        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block, new DriverFeatures { LegacyWanted = Features.NotifyOnEmpty });

        Assert.Equal(Features.NotifyOnEmpty, session.NegotiatedFeatures);
    }

    [Theory]
    [InlineData(4096, 256)]
    [InlineData(4096, 1024)]
    [InlineData(64, 8)]
    public void A_ring_has_the_size_that_is_read_and_lies_in_one_piece_at_a_multiple_of_the_alignment(int alignment, int size)
    {
        _transport.LegacyAlignment = alignment;
        _transport.QueueSizes = [size];
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);
        _transport.Dma.Allocate(20);

        QueueLayout layout = session.EnableQueue(0, maxSize: 4).Layout;

        LegacyLayout legacy = LegacyLayout.Of(size, alignment);
        Assert.Equal(size, layout.Size);
        Assert.True(layout.DescriptorArea.IsAligned(alignment));
        Assert.Equal(layout.DescriptorArea.Plus((ulong)legacy.DriverAreaOffset), layout.DriverArea);
        Assert.Equal(layout.DescriptorArea.Plus((ulong)legacy.DeviceAreaOffset), layout.DeviceArea);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(65536)]
    public void A_size_that_cannot_be_is_refused(int size)
    {
        _transport.QueueSizes = [size];
        using DriverSession session = DriverSession.Open(_transport, DeviceId.Block);

        var refusal = Assert.Throws<QueueException>(() => session.EnableQueues(new QueueRequest(0, "request")));

        Assert.StartsWith($"queue 0 (request) has a size of {size}:", refusal.Message, StringComparison.Ordinal);
        Assert.Equal("status 131", _transport.Journal[^1]);
    }
}
