using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>A device that lies in the used ring, or writes where it may not: the driver's ring says so and keeps its own record.</summary>
[Proves("Hostile device", "in process")]
public sealed class HostileDeviceTests : IDisposable
{
    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 16);
    private readonly DmaBuffer _buffer;
    private readonly RawRing _raw;
    private SplitDriverRing _ring;

    public HostileDeviceTests()
    {
        _ring = SplitDriverRing.Create(8, _arena, new QueueOptions(Indirect: false, EventIdx: false, NotifyOnEmpty: false));
        _raw = new RawRing(_arena, _ring.Layout);
        _buffer = _arena.Allocate(64);
    }

    public void Dispose() => _arena.Dispose();

    [Theory]
    [InlineData(8)]
    [InlineData(0x10000)]
    [InlineData(uint.MaxValue)]
    public void A_used_id_that_names_no_descriptor_breaks_the_queue(uint id)
    {
        Add();
        _raw.Use(id, 0);

        AssertBroken($"used id = {id} names no chain that is in flight");
    }

    [Fact]
    public void A_used_id_that_is_not_in_flight_breaks_the_queue()
    {
        Add();
        _raw.Use(5, 0);

        AssertBroken("used id = 5 names no chain that is in flight");
    }

    [Fact]
    public void A_used_id_in_the_middle_of_a_chain_breaks_the_queue()
    {
        Assert.True(_ring.TryAdd([_buffer], [_buffer, _buffer], out ushort head));
        _ring.Publish();
        _raw.Use((uint)head + 1, 0);

        AssertBroken("used id = 1 names no chain that is in flight");
    }

    [Fact]
    public void A_used_id_that_comes_twice_breaks_the_queue()
    {
        ushort first = Add();
        Add();
        _raw.Use(first, 0);
        _raw.Use(first, 0);

        Assert.True(_ring.TryGet(out _, out _));
        AssertBroken("used id = 0 names no chain that is in flight");
    }

    [Fact]
    public void A_used_id_of_a_chain_that_was_not_published_yet_breaks_the_queue()
    {
        Add();
        Assert.True(_ring.TryAdd([], [_buffer], out ushort unseen));
        _raw.Use(unseen, 0);

        AssertBroken("used id = 1 names no chain that is in flight");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(9)]
    [InlineData(0xFFFF)]
    public void A_used_index_ahead_of_what_was_made_available_breaks_the_queue(ushort index)
    {
        Add();
        _raw.UsedIndex = index;

        AssertBroken($"used.idx = {index} is ahead of the 1 chains that are in flight");
    }

    [Fact]
    public void A_used_index_that_moves_before_anything_was_added_breaks_the_queue()
    {
        _raw.UsedIndex = 1;

        AssertBroken("used.idx = 1 is ahead of the 0 chains that are in flight");
    }

    [Fact]
    public void A_used_index_that_goes_back_breaks_the_queue()
    {
        _raw.Use(Add(), 0);
        Assert.True(_ring.TryGet(out _, out _));
        Add();
        _raw.UsedIndex = 0;

        AssertBroken("used.idx = 0 is ahead of the 1 chains that are in flight");
    }

    [Theory]
    [InlineData(64, 64)]
    [InlineData(65, 64)]
    [InlineData(uint.MaxValue, 64)]
    [InlineData(0, 0)]
    [InlineData(63, 63)]
    public void A_used_length_is_cut_to_the_room_there_was(uint claimed, uint told)
    {
        _raw.Use(Add(), claimed);

        Assert.True(_ring.TryGet(out _, out uint length));

        Assert.Equal(told, length);
    }

    [Fact]
    public void A_used_length_of_a_chain_without_room_is_cut_to_nothing()
    {
        Assert.True(_ring.TryAdd([_buffer], [], out ushort head));
        _ring.Publish();
        _raw.Use(head, 64);

        Assert.True(_ring.TryGet(out _, out uint length));

        Assert.Equal(0u, length);
    }

    [Fact]
    public void Descriptors_and_available_ring_overwritten_by_the_device_mislead_nobody()
    {
        Assert.True(_ring.TryAdd([_buffer], [_buffer, _buffer], out ushort head));
        _ring.Publish();
        _raw.DescriptorBytes.Fill(0xFF);
        _raw.DriverBytes.Fill(0xFF);
        _raw.Use(head, uint.MaxValue);

        Assert.True(_ring.TryGet(out ushort id, out uint length));

        Assert.Equal((head, 128u, 8), (id, length, _ring.Free));
        for (int i = 0; i < 8; i++)
            Add();
        Assert.Equal(0, _ring.Free);
    }

    [Fact]
    public void An_indirect_table_overwritten_by_the_device_misleads_nobody()
    {
        _ring = SplitDriverRing.Create(8, _arena, new QueueOptions(Indirect: true, EventIdx: true, NotifyOnEmpty: false));
        var raw = new RawRing(_arena, _ring.Layout);
        Assert.True(_ring.TryAdd([_buffer], [_buffer], out ushort head));
        _ring.Publish();
        new DmaBuffer(new GuestAddress(raw[head].Address), _arena.Region.Host + (nint)(raw[head].Address - _arena.Region.Start.Value), 32).Span.Fill(0xFF);
        raw.Use(head, 1000);

        Assert.True(_ring.TryGet(out ushort id, out uint length));

        Assert.Equal((head, 64u, 8), (id, length, _ring.Free));
    }

    [Fact]
    public void Events_and_flags_of_any_value_only_decide_over_notifications()
    {
        _raw.UsedFlags = 0xFFFF;
        Assert.True(_ring.TryAdd([], [_buffer], out ushort head));
        Assert.False(_ring.Publish());
        _raw.UsedFlags = 0xFFFE;
        Add();

        _raw.Use(head, 1);

        Assert.True(_ring.TryGet(out ushort id, out _));
        Assert.Equal(head, id);
    }

    [Fact]
    public void A_chain_that_does_not_fit_is_refused_and_leaves_the_ring_as_it_was()
    {
        for (int i = 0; i < 6; i++)
            Add();

        Assert.False(_ring.TryAdd([_buffer, _buffer], [_buffer], out _));

        Assert.Equal(2, _ring.Free);
        Assert.True(_ring.TryAdd([_buffer], [_buffer], out _));
        Assert.False(_ring.TryAdd([_buffer], [], out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(65536)]
    public void A_size_that_a_split_queue_cannot_have_is_refused(int size)
    {
        var refusal = Assert.Throws<QueueException>(() => SplitDriverRing.Create(size, _arena, default));

        Assert.Equal($"queue size = {size} is not a power of two in 1…32768", refusal.Message);
    }

    private ushort Add()
    {
        Assert.True(_ring.TryAdd([], [_buffer], out ushort id));
        _ring.Publish();
        return id;
    }

    /// <summary>The ring says what is wrong each time it is asked, and gives nothing out.</summary>
    private void AssertBroken(string message)
    {
        int free = _ring.Free;
        Assert.Equal(message, Assert.Throws<QueueException>(() => _ring.TryGet(out _, out _)).Message);
        Assert.Equal(message, Assert.Throws<QueueException>(() => _ring.TryGet(out _, out _)).Message);
        Assert.Equal(free, _ring.Free);
    }
}
