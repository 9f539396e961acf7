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
[Proves("Hostile driver", "in process")]
public sealed class HostileChainTests : IDisposable
{
    private readonly HostileDriver _driver = new();

    private ulong Good => _driver.Good.Address.Value;

    public void Dispose() => _driver.Dispose();

    [Fact]
    public void An_indirect_table_of_length_zero_is_refused()
    {
        _driver.Ring[0] = new Descriptor(Good, 0, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectLength, 0);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(40)]
    public void An_indirect_table_whose_length_is_no_multiple_of_sixteen_is_refused(uint length)
    {
        _driver.Ring[0] = new Descriptor(Good, length, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectLength, length);
    }

    [Fact]
    public void A_next_field_that_points_outside_its_indirect_table_is_refused()
    {
        DmaBuffer table = _driver.Table(new Descriptor(Good, 8, Write | Next, 2), new Descriptor(Good, 8, Write, 0));
        _driver.Ring[0] = new Descriptor(table.Address.Value, 32, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectNext, 2);
    }

    [Fact]
    public void An_indirect_table_that_loops_is_refused()
    {
        DmaBuffer table = _driver.Table(new Descriptor(Good, 8, Write | Next, 1), new Descriptor(Good, 8, Write | Next, 0));
        _driver.Ring[0] = new Descriptor(table.Address.Value, 32, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectLoop, 2);
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
        DmaBuffer inner = _driver.Table(new Descriptor(Good, 8, Write, 0));
        DmaBuffer outer = _driver.Table(new Descriptor(Good, 8, Next, 1), new Descriptor(inner.Address.Value, 16, Indirect, 0));
        _driver.Ring[0] = new Descriptor(outer.Address.Value, 32, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectNested, 1);
    }

    [Fact]
    public void INDIRECT_together_with_NEXT_is_refused()
    {
        DmaBuffer table = _driver.Table(new Descriptor(Good, 8, Write, 0));
        _driver.Ring[0] = new Descriptor(table.Address.Value, 16, Indirect | Next, 1);
        _driver.Ring[1] = new Descriptor(Good, 8, Write, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectWithNext, 0);
    }

    [Fact]
    public void INDIRECT_is_refused_when_it_was_not_negotiated()
    {
        using var driver = new HostileDriver(withheld: Features.IndirectDesc);
        DmaBuffer table = driver.Table(new Descriptor(driver.Good.Address.Value, 8, Write, 0));
        driver.Ring[0] = new Descriptor(table.Address.Value, 16, Indirect, 0);

        driver.AssertAnsweredWithNothing(ChainFaultKind.IndirectNotNegotiated, 0);
    }

    [Fact]
    public void An_indirect_table_outside_memory_is_refused()
    {
        _driver.Ring[0] = new Descriptor(0xDEAD_0000, 16, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, 0xDEAD_0000);
    }

    [Fact]
    public void A_buffer_in_an_indirect_table_that_is_outside_memory_is_refused()
    {
        DmaBuffer table = _driver.Table(new Descriptor(Good, 8, Next, 1), new Descriptor(0xBAD_0000, 8, Write, 0));
        _driver.Ring[0] = new Descriptor(table.Address.Value, 32, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, 0xBAD_0000);
    }

    [Fact]
    public void A_readable_buffer_after_a_writable_one_is_refused()
    {
        _driver.Ring[0] = new Descriptor(Good, 8, Write | Next, 3);
        _driver.Ring[3] = new Descriptor(Good, 8, None, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.ReadableAfterWritable, 3);
    }

    [Fact]
    public void A_readable_buffer_after_a_writable_one_is_refused_in_an_indirect_table_too()
    {
        DmaBuffer table = _driver.Table(new Descriptor(Good, 8, Write | Next, 1), new Descriptor(Good, 8, None, 0));
        _driver.Ring[0] = new Descriptor(table.Address.Value, 32, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.ReadableAfterWritable, 1);
    }

    [Fact]
    public void A_buffer_outside_memory_is_refused()
    {
        _driver.Ring[0] = new Descriptor(0x1000, 8, Write, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, 0x1000);
    }

    [Fact]
    public void A_buffer_whose_address_wraps_past_two_to_the_sixty_four_is_refused()
    {
        _driver.Ring[0] = new Descriptor(ulong.MaxValue - 7, 64, Write, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, ulong.MaxValue - 7);
    }

    [Fact]
    public void A_buffer_that_runs_out_of_memory_is_refused_at_the_first_missing_byte()
    {
        ulong end = _driver.ArenaEnd;
        _driver.Ring[0] = new Descriptor(end - 8, 9, Write, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.AddressUnmapped, end);
    }

    [Fact]
    public void A_chain_of_more_than_two_to_the_thirty_two_bytes_is_refused()
    {
        _driver.Ring[0] = new Descriptor(HostileDriver.Unbacked, uint.MaxValue, Write | Next, 1);
        _driver.Ring[1] = new Descriptor(HostileDriver.Unbacked, 2, Write, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.TooManyBytes, (1UL << 32) + 1);
    }

    [Fact]
    public void A_chain_of_more_buffers_than_a_request_may_have_is_refused()
    {
        var entries = new Descriptor[1025];
        for (int i = 0; i < entries.Length; i++)
            entries[i] = new Descriptor(Good, 1, i + 1 < entries.Length ? Write | Next : Write, (ushort)(i + 1));
        DmaBuffer table = _driver.Table(entries);
        _driver.Ring[0] = new Descriptor(table.Address.Value, (uint)table.Length, Indirect, 0);

        _driver.AssertAnsweredWithNothing(ChainFaultKind.TooManyBuffers, 1024);
    }
}
