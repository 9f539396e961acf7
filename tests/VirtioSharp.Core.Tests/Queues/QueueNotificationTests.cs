using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>What a kick tells the device when NOTIFICATION_DATA was negotiated (§2.9).</summary>
[Proves("NOTIFICATION_DATA", "in process")]
public sealed class QueueNotificationTests : IDisposable
{
    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 16);
    private readonly StubTransport _transport;

    public QueueNotificationTests() => _transport = new StubTransport(_arena);

    public void Dispose() => _arena.Dispose();

    [Fact]
    public void On_a_split_ring_it_is_the_next_available_index()
    {
        var queue = new DriverQueue<SplitDriverRing>(_transport, 3, 4, default);

        Kick(queue, chains: 1, buffers: 2);
        Kick(queue, chains: 2, buffers: 1);

        Assert.Equal([new(3, 1), new(3, 3)], _transport.Notifications);
        Assert.Equal(0x0003_0003u, _transport.Notifications[1].ToData());
    }

    [Fact]
    public void On_a_packed_ring_it_is_the_next_entry_and_the_wrap_counter()
    {
        var queue = new DriverQueue<PackedDriverRing>(_transport, 3, 4, default);

        Kick(queue, chains: 1, buffers: 3);
        Kick(queue, chains: 1, buffers: 1);

        Assert.Equal([new(3, 0x8003), new(3, 0)], _transport.Notifications);
        Assert.Equal(0x8003_0003u, _transport.Notifications[0].ToData());
    }

    [Theory]
    [InlineData(0u, 0, 0)]
    [InlineData(0xFFFF_0001u, 1, 0xFFFF)]
    [InlineData(0x8005_FFFFu, 0xFFFF, 0x8005)]
    public void It_comes_back_as_it_went(uint data, ushort queue, ushort next)
    {
        Assert.Equal(new QueueNotification(queue, next), QueueNotification.FromData(data));
        Assert.Equal(data, new QueueNotification(queue, next).ToData());
    }

    private void Kick(DriverQueue queue, int chains, int buffers)
    {
        DmaBuffer[] room = [.. Enumerable.Range(0, buffers).Select(_ => _arena.Allocate(8))];
        for (int i = 0; i < chains; i++)
            Assert.True(queue.TryAdd([], room, out _));
        queue.Kick();
    }
}
