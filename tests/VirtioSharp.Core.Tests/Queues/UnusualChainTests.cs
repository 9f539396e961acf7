using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Spec.DescriptorFlags;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Chains that look wrong and are not: a device must serve them.</summary>
public sealed class UnusualChainTests : IDisposable
{
    private readonly HostileDriver _driver = new();

    private ulong Good => _driver.Good.Address.Value;

    public void Dispose() => _driver.Dispose();

    [Fact]
    [Proves("INDIRECT_DESC", "in process")]
    public void WRITE_on_the_descriptor_of_an_indirect_table_is_ignored()
    {
        DmaBuffer table = _driver.Table(new Descriptor(Good, 8, Next, 1), new Descriptor(Good + 8, 24, Write, 0));
        _driver.Ring[0] = new Descriptor(table.Address.Value, 32, Indirect | Write, 0);

        Assert.Equal(24u, _driver.Send(0).Length);

        Assert.Equal(8, _driver.Device.Read.Count);
        Assert.Empty(_driver.Observer.Faults);
    }

    [Fact]
    [Proves("INDIRECT_DESC", "in process")]
    public void Plain_descriptors_may_come_before_an_indirect_one()
    {
        DmaBuffer table = _driver.Table(new Descriptor(Good, 4, Next, 1), new Descriptor(Good + 8, 24, Write, 0));
        _driver.Ring[0] = new Descriptor(Good, 3, Next, 5);
        _driver.Ring[5] = new Descriptor(Good, 2, Next, 2);
        _driver.Ring[2] = new Descriptor(table.Address.Value, 32, Indirect, 0);

        Assert.Equal(24u, _driver.Send(0).Length);

        Assert.Equal(3 + 2 + 4, _driver.Device.Read.Count);
        Assert.Empty(_driver.Observer.Faults);
    }

    [Fact]
    public void A_writable_buffer_of_length_zero_is_no_room()
    {
        _driver.Ring[0] = new Descriptor(Good, 0, Write, 0);

        Assert.Equal(0u, _driver.Send(0).Length);

        Assert.Equal(1, _driver.Device.Chains);
        _driver.AssertServes();
    }

    [Fact]
    public void A_buffer_of_length_zero_may_point_nowhere()
    {
        _driver.Ring[0] = new Descriptor(0, 0, Next, 1);
        _driver.Ring[1] = new Descriptor(Good, 8, Write, 0);

        Assert.Equal(8u, _driver.Send(0).Length);

        Assert.Empty(_driver.Observer.Faults);
    }

    [Fact]
    public void A_chain_that_can_only_be_read_is_served_and_completed_with_length_zero()
    {
        _driver.Ring[0] = new Descriptor(Good, 64, None, 0);

        Assert.Equal(0u, _driver.Send(0).Length);

        Assert.Equal(64, _driver.Device.Read.Count);
        Assert.Empty(_driver.Observer.Faults);
    }

    [Fact]
    public void A_buffer_may_end_at_the_last_byte_of_memory()
    {
        ulong end = _driver.ArenaEnd;
        _driver.Ring[0] = new Descriptor(end - 8, 8, Write, 0);

        Assert.Equal(8u, _driver.Send(0).Length);
    }

    [Fact]
    public void A_chain_may_use_every_descriptor_of_the_queue()
    {
        for (int i = 0; i < 8; i++)
            _driver.Ring[i] = new Descriptor(Good + (ulong)i, 1, i < 7 ? Write | Next : Write, (ushort)(i + 1));

        Assert.Equal(8u, _driver.Send(0).Length);
    }

    [Fact]
    public void A_request_may_have_more_buffers_than_the_queue_has_entries()
    {
        var entries = new Descriptor[1024];
        for (int i = 0; i < entries.Length; i++)
            entries[i] = new Descriptor(Good, 1, i + 1 < entries.Length ? Write | Next : Write, (ushort)(i + 1));
        DmaBuffer table = _driver.Table(entries);
        _driver.Ring[0] = new Descriptor(table.Address.Value, (uint)table.Length, Indirect, 0);

        Assert.Equal(1024u, _driver.Send(0).Length);
    }

    [Fact]
    public void A_chain_may_be_just_below_two_to_the_thirty_two_bytes_long()
    {
        uint room = 0;
        _driver.Device.Answer = (_, scoped ref chain) => room = chain.WritableLeft;
        _driver.Ring[0] = new Descriptor(HostileDriver.Unbacked, uint.MaxValue - 1, Write | Next, 1);
        _driver.Ring[1] = new Descriptor(HostileDriver.Unbacked, 1, Write, 0);

        Assert.Equal(0u, _driver.Send(0).Length);

        Assert.Equal(uint.MaxValue, room);
        Assert.Empty(_driver.Observer.Faults);
    }

    [Fact]
    public void A_buffer_that_is_too_long_for_a_span_comes_in_pieces()
    {
        var pieces = new List<int>();
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            while (chain.TryNextReadable(out ReadOnlySpan<byte> bytes))
                pieces.Add(bytes.Length);
            while (chain.TryNextWritable(out Span<byte> room))
            {
                pieces.Add(room.Length);
                chain.Advance(room.Length);
            }
        };
        _driver.Ring[0] = new Descriptor(HostileDriver.Unbacked, int.MaxValue + 1u, Next, 1);
        _driver.Ring[1] = new Descriptor(HostileDriver.Unbacked, int.MaxValue, Write, 0);

        Assert.Equal((uint)int.MaxValue, _driver.Send(0).Length);

        Assert.Equal([int.MaxValue, 1, int.MaxValue], pieces);
    }
}
