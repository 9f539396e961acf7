using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>A device that lies about what it used, or writes where it may not: the driver's ring says so and keeps its own record.</summary>
public abstract class HostileDeviceTests : IDisposable
{
    private DriverEnd _ring = null!;

    private protected HostileDeviceTests() => Lay(new QueueOptions(Indirect: false, EventIdx: false));

    private protected DmaArena Arena { get; } = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 16);

    private protected DmaBuffer Buffer { get; private set; }

    private protected DriverEnd Ring => _ring;

    private protected abstract DriverEnd Create(QueueOptions options);

    /// <summary>Looks at the ring as a device does, from now on.</summary>
    private protected abstract void See(QueueLayout layout);

    /// <summary>Says that a chain of so many entries was used.</summary>
    private protected abstract void Use(ushort id, uint length, int slots = 1);

    public void Dispose()
    {
        Arena.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public void A_used_id_that_is_not_in_flight_breaks_the_queue()
    {
        Add();
        Use(5, 0);

        AssertBroken("used id = 5 names no chain that is in flight");
    }

    [Fact]
    public void A_used_id_that_comes_twice_breaks_the_queue()
    {
        ushort first = Add();
        Add();
        Use(first, 0);
        Use(first, 0);

        Assert.True(_ring.TryGet(out _, out _));
        AssertBroken("used id = 0 names no chain that is in flight");
    }

    [Fact]
    public void A_used_id_of_a_chain_that_was_not_published_yet_breaks_the_queue()
    {
        Add();
        Assert.True(_ring.TryAdd([], [Buffer], out ushort unseen));
        Use(unseen, 0);

        AssertBroken("used id = 1 names no chain that is in flight");
    }

    [Theory]
    [InlineData(64, 64)]
    [InlineData(65, 64)]
    [InlineData(uint.MaxValue, 64)]
    [InlineData(0, 0)]
    [InlineData(63, 63)]
    public void A_used_length_is_cut_to_the_room_there_was(uint claimed, uint told)
    {
        Use(Add(), claimed);

        Assert.True(_ring.TryGet(out _, out uint length));

        Assert.Equal(told, length);
    }

    [Fact]
    public void A_used_length_of_a_chain_without_room_is_cut_to_nothing()
    {
        Assert.True(_ring.TryAdd([Buffer], [], out ushort head));
        _ring.Publish();
        Use(head, 64);

        Assert.True(_ring.TryGet(out _, out uint length));

        Assert.Equal(0u, length);
    }

    [Fact]
    public void A_chain_that_does_not_fit_is_refused_and_leaves_the_ring_as_it_was()
    {
        for (int i = 0; i < 6; i++)
            Add();

        Assert.False(_ring.TryAdd([Buffer, Buffer], [Buffer], out _));

        Assert.Equal(2, _ring.Free);
        Assert.True(_ring.TryAdd([Buffer], [Buffer], out _));
        Assert.False(_ring.TryAdd([Buffer], [], out _));
    }

    [Fact]
    public void A_queue_that_was_lied_to_resets_the_device_and_believes_nothing_any_more()
    {
        using var transport = new StubTransport(Arena);
        DriverQueue queue = _ring.CreateQueue(transport, 8);
        See(queue.Layout);
        Assert.True(queue.TryAdd([], [Buffer], out ushort id));
        queue.Kick();
        Use(7, 0);

        Assert.Equal("used id = 7 names no chain that is in flight", Assert.Throws<QueueException>(() => queue.TryGet(out _, out _)).Message);

        Assert.Equal([DeviceStatus.Reset], transport.Written);
        See(queue.Layout); // at the beginning again, and honest this time
        Use(id, 64);
        Assert.Throws<QueueException>(() => queue.TryGet(out _, out _));
        Assert.Throws<QueueException>(() => queue.Wait(TimeSpan.Zero, out _, out _));
        Assert.Equal([DeviceStatus.Reset], transport.Written);
    }

    [Fact]
    [Proves("IN_ORDER", "in process")]
    public void With_IN_ORDER_a_used_id_stands_for_all_before_it_which_count_as_full()
    {
        LayInOrder();
        ushort[] ids = [Add(), Add(), Add(), Add()];
        UseBatch(ids[2], 5, chains: 3);
        UseBatch(ids[3], 6, chains: 1);

        foreach ((ushort id, uint length) in new[] { (ids[0], 64u), (ids[1], 64u), (ids[2], 5u), (ids[3], 6u) })
        {
            Assert.True(_ring.RearmInterrupts());
            Assert.True(_ring.TryGet(out ushort used, out uint told));
            Assert.Equal((id, length), (used, told));
        }

        Assert.False(_ring.TryGet(out _, out _));
        Assert.False(_ring.RearmInterrupts());
        Assert.Equal(8, _ring.Free);
    }

    [Fact]
    [Proves("IN_ORDER", "in process")]
    public void With_IN_ORDER_an_id_that_a_batch_has_passed_breaks_the_queue()
    {
        LayInOrder();
        ushort[] ids = [Add(), Add(), Add()];
        UseBatch(ids[1], 1, chains: 2);
        UseBatch(ids[0], 1, chains: 1);

        Assert.True(_ring.TryGet(out _, out _));
        Assert.True(_ring.TryGet(out _, out _));
        AssertBroken($"used id = {ids[0]} names no chain that is in flight");
    }

    [Fact]
    [Proves("IN_ORDER", "in process")]
    public void With_IN_ORDER_an_id_that_was_not_published_yet_breaks_the_queue()
    {
        LayInOrder();
        Add();
        Assert.True(_ring.TryAdd([], [Buffer], out ushort unseen));
        UseBatch(unseen, 1, chains: 2);

        AssertBrokenWhatever();
    }

    /// <summary>Uses so many chains of one buffer with one element.</summary>
    private protected abstract void UseBatch(ushort last, uint length, int chains);

    /// <summary>A new ring.</summary>
    private protected void Lay(QueueOptions options)
    {
        _ring = Create(options);
        Buffer = Arena.Allocate(64);
        See(_ring.Layout);
    }

    private protected void LayInOrder() => Lay(new QueueOptions(Indirect: false, EventIdx: false, InOrder: true));

    private protected ushort Add()
    {
        Assert.True(_ring.TryAdd([], [Buffer], out ushort id));
        _ring.Publish();
        return id;
    }

    private protected void AssertBrokenWhatever() => AssertBroken(Assert.Throws<QueueException>(() => _ring.TryGet(out _, out _)).Message);

    /// <summary>The ring says what is wrong each time it is asked, and gives nothing out.</summary>
    private protected void AssertBroken(string message)
    {
        int free = _ring.Free;
        Assert.Equal(message, Assert.Throws<QueueException>(() => _ring.TryGet(out _, out _)).Message);
        Assert.Equal(message, Assert.Throws<QueueException>(() => _ring.TryGet(out _, out _)).Message);
        Assert.Equal(free, _ring.Free);
    }
}

[Proves("Hostile device", "in process")]
[Proves("Split ring", "in process")]
public sealed class SplitHostileDeviceTests : HostileDeviceTests
{
    private RawRing _raw = null!;

    private protected override DriverEnd Create(QueueOptions options) => new DriverEnd<SplitDriverRing>(8, Arena, options);

    private protected override void See(QueueLayout layout) => _raw = new RawRing(Arena, layout);

    private protected override void Use(ushort id, uint length, int slots) => _raw.Use(id, length);

    private protected override void UseBatch(ushort last, uint length, int chains)
    {
        _raw.Use(last, length);
        for (int i = 1; i < chains; i++)
            _raw.Use(uint.MaxValue, 0xBAD); // skipped: only the index counts
    }

    [Fact]
    [Proves("IN_ORDER", "in process")]
    public void With_IN_ORDER_a_batch_larger_than_the_used_index_counts_breaks_the_queue()
    {
        LayInOrder();
        ushort[] ids = [Add(), Add(), Add()];
        UseBatch(ids[2], 1, chains: 2);

        Assert.Equal(
            "used.ring[0].id = 2 stands for 3 chains, but used.idx counts 2",
            Assert.Throws<QueueException>(() => Ring.TryGet(out _, out _)).Message);
    }

    [Fact]
    [Proves("IN_ORDER", "in process")]
    public void With_IN_ORDER_descriptors_are_used_in_ring_order()
    {
        LayInOrder();
        for (int at = 0; at < 100; at += 3)
        {
            Assert.True(Ring.TryAdd([Buffer], [Buffer, Buffer], out ushort head));
            Ring.Publish();
            Assert.Equal(at % 8, head);
            Assert.Equal(((at + 1) % 8, (at + 2) % 8), (_raw[head].Next, _raw[_raw[head].Next].Next));
            _raw.Use(head, 1);
            Assert.True(Ring.TryGet(out _, out _));
        }
    }

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
    public void A_used_id_in_the_middle_of_a_chain_breaks_the_queue()
    {
        Assert.True(Ring.TryAdd([Buffer], [Buffer, Buffer], out ushort head));
        Ring.Publish();
        _raw.Use((uint)head + 1, 0);

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
        Assert.True(Ring.TryGet(out _, out _));
        Add();
        _raw.UsedIndex = 0;

        AssertBroken("used.idx = 0 is ahead of the 1 chains that are in flight");
    }

    [Fact]
    public void Descriptors_and_available_ring_overwritten_by_the_device_mislead_nobody()
    {
        Assert.True(Ring.TryAdd([Buffer], [Buffer, Buffer], out ushort head));
        Ring.Publish();
        _raw.DescriptorBytes.Fill(0xFF);
        _raw.DriverBytes.Fill(0xFF);
        _raw.Use(head, uint.MaxValue);

        Assert.True(Ring.TryGet(out ushort id, out uint length));

        Assert.Equal((head, 128u, 8), (id, length, Ring.Free));
        for (int i = 0; i < 8; i++)
            Add();
        Assert.Equal(0, Ring.Free);
    }

    [Fact]
    public void An_indirect_table_overwritten_by_the_device_misleads_nobody()
    {
        Lay(new QueueOptions(Indirect: true, EventIdx: true));
        Assert.True(Ring.TryAdd([Buffer], [Buffer], out ushort head));
        Ring.Publish();
        new DmaBuffer(new GuestAddress(_raw[head].Address), Arena.Region.Host + (nint)(_raw[head].Address - Arena.Region.Start.Value), 32).Span.Fill(0xFF);
        _raw.Use(head, 1000);

        Assert.True(Ring.TryGet(out ushort id, out uint length));

        Assert.Equal((head, 64u, 8), (id, length, Ring.Free));
    }

    [Fact]
    public void Events_and_flags_of_any_value_only_decide_over_notifications()
    {
        _raw.UsedFlags = 0xFFFF;
        Assert.True(Ring.TryAdd([], [Buffer], out ushort head));
        Assert.False(Ring.Publish());
        _raw.UsedFlags = 0xFFFE;
        Add();

        _raw.Use(head, 1);

        Assert.True(Ring.TryGet(out ushort id, out _));
        Assert.Equal(head, id);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(65536)]
    public void A_size_that_a_split_queue_cannot_have_is_refused(int size)
    {
        var refusal = Assert.Throws<QueueException>(() => SplitDriverRing.Create(size, Arena, default));

        Assert.Equal($"queue size = {size} is not a power of two in 1…32768", refusal.Message);
    }
}

[Proves("Hostile device", "in process")]
[Proves("Packed ring", "in process")]
public sealed class PackedHostileDeviceTests : HostileDeviceTests
{
    private RawPackedRing _raw = null!;

    private protected override DriverEnd Create(QueueOptions options) => new DriverEnd<PackedDriverRing>(8, Arena, options);

    private protected override void See(QueueLayout layout) => _raw = new RawPackedRing(Arena, layout);

    private protected override void Use(ushort id, uint length, int slots) => _raw.Use(id, length, slots);

    private protected override void UseBatch(ushort last, uint length, int chains) => _raw.Use(last, length, chains);

    [Theory]
    [InlineData(8)]
    [InlineData(0xFFFF)]
    public void A_used_id_beyond_the_ring_breaks_the_queue(ushort id)
    {
        Add();
        _raw.Use(id, 0);

        AssertBroken($"used id = {id} names no chain that is in flight");
    }

    [Fact]
    public void Flags_that_say_used_while_nothing_is_in_flight_say_nothing()
    {
        for (int i = 0; i < 8; i++)
            _raw[i] = new PackedDescriptor(0, 64, 0, PackedLayout.UsedFlags(wrapCounter: true));

        Assert.False(Ring.RearmInterrupts());
        Assert.False(Ring.TryGet(out _, out _));
        _raw.Use(Add(), 64);
        Assert.True(Ring.TryGet(out _, out _));
        Assert.False(Ring.TryGet(out _, out _));
        Assert.Equal(8, Ring.Free);
    }

    [Theory]
    [InlineData(DescriptorFlags.None)]
    [InlineData(DescriptorFlags.Available)]
    [InlineData(DescriptorFlags.Used)]
    public void A_wrap_counter_that_lies_is_not_seen(DescriptorFlags flags)
    {
        ushort id = Add();
        _raw[0] = new PackedDescriptor(0, 64, id, flags);

        Assert.False(Ring.TryGet(out _, out _));

        _raw.Use(id, 64);
        Assert.True(Ring.TryGet(out _, out _));
    }

    [Fact]
    public void A_ring_full_of_used_flags_gives_each_chain_out_once()
    {
        ushort[] ids = [.. Enumerable.Range(0, 8).Select(_ => Add())];
        for (int i = 0; i < 8; i++)
            _raw[i] = new PackedDescriptor(0, uint.MaxValue, ids[7 - i], PackedLayout.UsedFlags(wrapCounter: true));

        for (int i = 0; i < 8; i++)
        {
            Assert.True(Ring.TryGet(out ushort id, out uint length));
            Assert.Equal((ids[7 - i], 64u), (id, length));
        }

        Assert.False(Ring.TryGet(out _, out _));
        Assert.Equal(8, Ring.Free);
    }

    [Fact]
    public void A_used_descriptor_without_WRITE_is_believed_in_its_length()
    {
        _raw.Use(Add(), 60); // QEMU 7.2 leaves the flag out
        _raw.Use(Add(), 61, flags: DescriptorFlags.Write | DescriptorFlags.Next | DescriptorFlags.Indirect);

        Assert.True(Ring.TryGet(out _, out uint first));
        Assert.True(Ring.TryGet(out _, out uint second));

        Assert.Equal((60u, 61u), (first, second));
    }

    [Fact]
    public void A_ring_overwritten_by_the_device_misleads_nobody()
    {
        Assert.True(Ring.TryAdd([Buffer], [Buffer, Buffer], out ushort id));
        Ring.Publish();
        _raw.DescriptorBytes.Fill(0xFF);
        _raw.DriverBytes.Fill(0xFF);
        _raw.Use(id, uint.MaxValue, slots: 3);

        Assert.True(Ring.TryGet(out ushort used, out uint length));

        Assert.Equal((id, 128u, 8), (used, length, Ring.Free));
        for (int i = 0; i < 8; i++)
            Add();
        Assert.Equal(0, Ring.Free);
    }

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void Events_of_any_value_only_decide_over_notifications()
    {
        Lay(new QueueOptions(Indirect: false, EventIdx: true));
        for (int value = 0; value <= 0xFFFF; value += 0x333)
        {
            (_raw.DeviceEvent, _raw.DeviceEventFlags) = ((ushort)value, (ushort)(value >> 3));
            ushort id = Add();
            _raw.Use(id, 1);
            Assert.True(Ring.TryGet(out ushort used, out _));
            Assert.Equal(id, used);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(32769)]
    public void A_size_that_a_packed_queue_cannot_have_is_refused(int size)
    {
        var refusal = Assert.Throws<QueueException>(() => PackedDriverRing.Create(size, Arena, default));

        Assert.Equal($"queue size = {size} is not in 1…32768", refusal.Message);
    }
}
