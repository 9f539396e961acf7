using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Spec.DescriptorFlags;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Chains that are wrong by themselves: each is answered with length 0, and the device goes on.</summary>
public abstract class HostileChainTests(FeatureSet format) : IDisposable
{
    private readonly HostileDriver _driver = new(more: format);

    private protected HostileDriver Driver => _driver;

    private protected ulong Good => _driver.Good.Address.Value;

    public void Dispose()
    {
        _driver.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public void An_indirect_table_of_length_zero_is_refused() =>
        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectLength, 0, new Entry(Good, 0, Indirect));

    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(40)]
    public void An_indirect_table_whose_length_is_no_multiple_of_sixteen_is_refused(uint length) =>
        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectLength, length, new Entry(Good, length, Indirect));

    [Fact]
    public void INDIRECT_together_with_NEXT_is_refused()
    {
        DmaBuffer table = _driver.TableOf(new Entry(Good, 8, Write));

        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectWithNext, 0, new Entry(table.Address.Value, 16, Indirect), new Entry(Good, 8, Write));
    }

    [Fact]
    public void INDIRECT_is_refused_when_it_was_not_negotiated()
    {
        using var driver = new HostileDriver(withheld: Features.IndirectDesc, more: format);
        DmaBuffer table = driver.TableOf(new Entry(driver.Good.Address.Value, 8, Write));

        driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectNotNegotiated, 0, new Entry(table.Address.Value, 16, Indirect));
    }

    [Fact]
    public void An_indirect_table_outside_memory_is_refused() =>
        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, 0xDEAD_0000, new Entry(0xDEAD_0000, 16, Indirect));

    [Fact]
    public void A_buffer_in_an_indirect_table_that_is_outside_memory_is_refused()
    {
        DmaBuffer table = _driver.TableOf(new Entry(Good, 8), new Entry(0xBAD_0000, 8, Write));

        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, 0xBAD_0000, new Entry(table.Address.Value, 32, Indirect));
    }

    [Fact]
    public void A_readable_buffer_after_a_writable_one_is_refused() =>
        _driver.AssertAnsweredWithNothing(ChainFaultKind.ReadableAfterWritable, 1, new Entry(Good, 8, Write), new Entry(Good, 8));

    [Fact]
    public void A_readable_buffer_after_a_writable_one_is_refused_in_an_indirect_table_too()
    {
        DmaBuffer table = _driver.TableOf(new Entry(Good, 8, Write), new Entry(Good, 8));

        _driver.AssertAnsweredWithNothing(ChainFaultKind.ReadableAfterWritable, 1, new Entry(table.Address.Value, 32, Indirect));
    }

    [Fact]
    public void A_buffer_outside_memory_is_refused() =>
        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, 0x1000, new Entry(0x1000, 8, Write));

    [Fact]
    public void A_buffer_whose_address_wraps_past_two_to_the_sixty_four_is_refused() =>
        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, ulong.MaxValue - 7, new Entry(ulong.MaxValue - 7, 64, Write));

    [Fact]
    public void A_buffer_that_runs_out_of_memory_is_refused_at_the_first_missing_byte()
    {
        ulong end = _driver.ArenaEnd;

        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, end, new Entry(end - 8, 9, Write));
    }

    [Fact]
    public void A_chain_of_more_than_two_to_the_thirty_two_bytes_is_refused() =>
        _driver.AssertAnsweredWithNothing(ChainFaultKind.TooManyBytes, (1UL << 32) + 1, new Entry(HostileDriver.Unbacked, uint.MaxValue, Write), new Entry(HostileDriver.Unbacked, 2, Write));

    /// <summary>Each buffer alone is as plain as can be.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Plain_buffers_that_add_up_to_more_than_two_to_the_thirty_two_bytes_are_refused(bool inTable)
    {
        var entries = new Entry[3];
        Array.Fill(entries, new Entry(HostileDriver.Unbacked, int.MaxValue, Write));
        DmaBuffer table = _driver.TableOf(entries);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.TooManyBytes, 3UL * int.MaxValue, inTable ? [new Entry(table.Address.Value, (uint)table.Length, Indirect)] : entries);
    }

    [Fact]
    public void A_chain_of_more_buffers_than_a_request_may_have_is_refused()
    {
        var entries = new Entry[1025];
        Array.Fill(entries, new Entry(Good, 1, Write));
        DmaBuffer table = _driver.TableOf(entries);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.TooManyBuffers, 1024, new Entry(table.Address.Value, (uint)table.Length, Indirect));
    }
}

[Proves("Hostile driver", "in process")]
[Proves("Split ring", "in process")]
public sealed class SplitHostileChainTests() : HostileChainTests(Features.None)
{
    [Fact]
    public void A_next_field_that_points_outside_its_indirect_table_is_refused()
    {
        DmaBuffer table = Driver.Table(new Descriptor(Good, 8, Write | Next, 2), new Descriptor(Good, 8, Write, 0));
        Driver.Ring[0] = new Descriptor(table.Address.Value, 32, Indirect, 0);

        Driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectNext, 2);
    }

    [Fact]
    public void An_indirect_table_that_loops_is_refused()
    {
        DmaBuffer table = Driver.Table(new Descriptor(Good, 8, Write | Next, 1), new Descriptor(Good, 8, Write | Next, 0));
        Driver.Ring[0] = new Descriptor(table.Address.Value, 32, Indirect, 0);

        Driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectLoop, 2);
    }

    [Fact]
    public void A_huge_indirect_table_that_loops_over_an_empty_buffer_is_given_up_at_the_buffer_limit()
    {
        using var driver = new HostileDriver(arenaBytes: 4 << 20);
        DmaBuffer table = driver.Table([new Descriptor(driver.Good.Address.Value, 0, Next, 0), .. new Descriptor[100_000]]);
        driver.Ring[0] = new Descriptor(table.Address.Value, (uint)table.Length, Indirect, 0);

        driver.AssertAnsweredWithNothing(ChainFaultKind.TooManyBuffers, 1024);
    }

    [Fact]
    public void An_indirect_descriptor_inside_an_indirect_table_is_refused()
    {
        DmaBuffer inner = Driver.Table(new Descriptor(Good, 8, Write, 0));
        DmaBuffer outer = Driver.Table(new Descriptor(Good, 8, Next, 1), new Descriptor(inner.Address.Value, 16, Indirect, 0));
        Driver.Ring[0] = new Descriptor(outer.Address.Value, 32, Indirect, 0);

        Driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectNested, 1);
    }

    [Fact]
    public void An_indirect_table_that_lies_where_the_ring_does_is_not_followed_for_ever()
    {
        Driver.Ring[0] = new Descriptor(Driver.Ring.Layout.DescriptorArea.Value, 8 * 16, Indirect, 0);

        Driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectNested, 0);
    }
}

[Proves("Hostile driver", "in process")]
[Proves("Packed ring", "in process")]
public sealed class PackedHostileChainTests() : HostileChainTests(Features.RingPacked)
{
    [Fact]
    public void A_faulty_list_is_skipped_to_its_end()
    {
        Driver.Offer(0, new Entry(0xBAD_0000, 8), new Entry(Good, 8, Write), new Entry(Good, 8), new Entry(Good, 8, Write));
        Driver.Offer(1, new Entry(Good, 24, Write));
        Driver.Kick();

        Assert.Equal([(0u, 0u), (1u, 24u)], Driver.TakeUsed().Select(used => (used.Id, used.Length)));

        Assert.Equal(new ChainFault(ChainFaultKind.AddressUnmapped, 0xBAD_0000), Assert.Single(Driver.Observer.Faults));
        Driver.AssertServes();
    }

    [Fact]
    public void Flags_that_are_changed_once_the_list_is_popped_change_nothing()
    {
        Driver.Device.Answer = (_, scoped ref chain) =>
        {
            Driver.PackedRing.DescriptorBytes.Fill(0xFF);
            chain.Write([1, 2, 3]);
        };

        Assert.Equal(3u, Driver.Send(new Entry(Good, 8), new Entry(Good, 16, Write)).Length);

        Assert.Empty(Driver.Observer.Faults);
    }

    [Fact]
    public void A_huge_indirect_table_is_given_up_at_the_buffer_limit() =>
        Driver.AssertAnsweredWithNothing(ChainFaultKind.TooManyBuffers, 1024, new Entry(HostileDriver.Unbacked, 0xFFFF_FFF0, Indirect));
}
