using System.Runtime.InteropServices;
using VirtioSharp.Core.Queues;
using VirtioSharp.Linux;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;
using static VirtioSharp.Spec.DescriptorFlags;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>What a guest can do wrong in its own memory: a chain costs that chain, a ring costs the ring until it is stopped.</summary>
[Proves("Hostile driver", "vhost-user")]
public sealed class GuestTests : IDisposable
{
    private const ulong Nowhere = 0xDEAD_0000_0000;

    private readonly ServedDevice _served = new();
    private readonly GuestRam _ram = new(size: 0x9000_0000); // room for a request of 2^32 bytes; nobody touches most of it
    private readonly GuestRing _ring;
    private readonly FrontEnd _frontEnd;

    public GuestTests() => (_ring, _frontEnd) = (new GuestRing(_ram), _served.Connect());

    private ulong Buffer => _ring.Buffer;

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void A_buffer_outside_memory()
    {
        _ring.SetDescriptor(0, Nowhere, 64, Write);

        AssertAnsweredWithLength0(ChainFaultKind.AddressUnmapped, "a buffer at 0xdead00000000 is not in guest memory");
    }

    [Fact]
    public void A_buffer_that_runs_over_the_end_of_memory()
    {
        _ring.SetDescriptor(0, _ram.Start + _ram.Region.Size - 32, 64, Write);

        AssertAnsweredWithLength0(ChainFaultKind.AddressUnmapped, "a buffer at 0xd0000000 is not in guest memory");
    }

    [Fact]
    public void A_buffer_that_wraps_around_all_addresses()
    {
        _ring.SetDescriptor(0, ulong.MaxValue - 10, 64, Write);

        AssertAnsweredWithLength0(ChainFaultKind.AddressUnmapped, "a buffer at 0xfffffffffffffff5 is not in guest memory");
    }

    [Fact]
    public void A_readable_buffer_after_a_writable_one()
    {
        _ring.SetDescriptor(0, Buffer, 64, Write | Next, next: 1);
        _ring.SetDescriptor(1, Buffer, 64, None);

        AssertAnsweredWithLength0(ChainFaultKind.ReadableAfterWritable, "descriptor 1 is readable but follows a writable one");
    }

    [Fact]
    public void An_indirect_table_that_was_not_negotiated()
    {
        _ring.SetDescriptor(0, _ring.IndirectTable, 16, Indirect);

        AssertAnsweredWithLength0(ChainFaultKind.IndirectNotNegotiated, "descriptor 0 is indirect, but INDIRECT_DESC was not negotiated", Wire.ProtocolFeatures | Wire.Version1);
    }

    [Fact]
    public void An_indirect_table_inside_another()
    {
        _ring.SetDescriptor(0, _ring.IndirectTable, 16, Indirect);
        _ring.SetIndirect(0, _ring.IndirectTable, 16, Indirect);

        AssertAnsweredWithLength0(ChainFaultKind.IndirectNested, "entry 0 of an indirect table is itself indirect");
    }

    [Fact]
    public void An_indirect_table_that_is_followed_by_more()
    {
        _ring.SetDescriptor(0, _ring.IndirectTable, 16, Indirect | Next, next: 1);

        AssertAnsweredWithLength0(ChainFaultKind.IndirectWithNext, "descriptor 0 has both INDIRECT and NEXT");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(0xFFFFFFFF)]
    public void An_indirect_table_of_an_odd_length(uint length)
    {
        _ring.SetDescriptor(0, _ring.IndirectTable, length, Indirect);

        AssertAnsweredWithLength0(ChainFaultKind.IndirectLength, $"an indirect table is {length} bytes long");
    }

    [Fact]
    public void An_indirect_table_outside_memory()
    {
        _ring.SetDescriptor(0, Nowhere, 16, Indirect);

        AssertAnsweredWithLength0(ChainFaultKind.AddressUnmapped, "a buffer at 0xdead00000000 is not in guest memory");
    }

    [Fact]
    public void An_indirect_table_whose_next_points_outside()
    {
        _ring.SetDescriptor(0, _ring.IndirectTable, 32, Indirect);
        _ring.SetIndirect(0, Buffer, 64, Write | Next, next: 2);

        AssertAnsweredWithLength0(ChainFaultKind.IndirectNext, "next = 2 points outside its indirect table");
    }

    [Fact]
    public void An_indirect_table_that_loops()
    {
        _ring.SetDescriptor(0, _ring.IndirectTable, 32, Indirect);
        _ring.SetIndirect(0, Buffer, 64, Write | Next, next: 1);
        _ring.SetIndirect(1, Buffer, 64, Write | Next, next: 0);

        AssertAnsweredWithLength0(ChainFaultKind.IndirectLoop, "an indirect table of 2 entries loops");
    }

    [Fact]
    public void An_indirect_table_of_gigabytes()
    {
        _ring.SetIndirect(0, Buffer, 0, Write | Next, next: 0); // an empty buffer takes no room
        _ring.SetDescriptor(0, _ring.IndirectTable, 0x8000_0000, Indirect);

        AssertAnsweredWithLength0(ChainFaultKind.TooManyBuffers, "the request has more than 1024 buffers");
    }

    [Fact]
    public void More_buffers_than_a_request_may_have()
    {
        _ring.SetDescriptor(0, Buffer, 1025 * 16, Indirect);
        for (int i = 0; i < 1025; i++)
            MemoryMarshal.Write(_ring.BufferBytes(i * 16, 16), new Descriptor(Buffer + 0x8000, 1, Write | Next, (ushort)(i + 1)));

        AssertAnsweredWithLength0(ChainFaultKind.TooManyBuffers, "the request has more than 1024 buffers");
    }

    [Fact]
    public void More_bytes_than_a_request_may_have()
    {
        _ring.SetDescriptor(0, _ram.Start, 0x9000_0000, Write | Next, next: 1);
        _ring.SetDescriptor(1, _ram.Start, 0x7000_0000, Write);

        AssertAnsweredWithLength0(ChainFaultKind.TooManyBytes, "the request's buffers add up to 4294967296 bytes");
    }

    [Fact]
    public void An_available_index_that_jumps()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AvailableIndex = 257;

        AssertBrokenUntilStopped("avail.idx jumped from 0 to 257, further than the 256 entries of the queue");
    }

    [Fact]
    public void An_available_index_that_goes_back()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AssertServes();
        _ring.AvailableIndex = 0;

        AssertBrokenUntilStopped("avail.idx jumped from 1 to 0, further than the 256 entries of the queue");
    }

    [Theory]
    [InlineData(256)]
    [InlineData(0xFFFF)]
    public void A_head_that_names_no_descriptor(ushort head)
    {
        _frontEnd.Start(_ram, _ring);
        _ring.Offer(head);

        AssertBrokenUntilStopped($"avail.ring[0] = {head} names no descriptor of the 256 there are");
    }

    [Fact]
    public void A_next_field_that_names_no_descriptor()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.SetDescriptor(0, Buffer, 64, Write | Next, next: 256);
        _ring.Offer(0);

        AssertBrokenUntilStopped("desc.next = 256 names no descriptor of the 256 there are");
    }

    [Fact]
    public void Descriptors_that_loop()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.SetDescriptor(0, Buffer, 64, Write | Next, next: 1);
        _ring.SetDescriptor(1, Buffer, 64, Write | Next, next: 0);
        _ring.Offer(0);

        AssertBrokenUntilStopped("the chain at descriptor 0 has more links than the queue's 256 descriptors: it loops");
    }

    [Fact]
    public void Good_chains_before_the_one_that_breaks_the_ring_are_served()
    {
        _frontEnd.Start(_ram, _ring);
        for (ushort head = 0; head < 5; head++)
            _ring.OfferBuffer(head: head);
        _ring.Offer(999);

        _ring.Kick.Signal();
        _ring.WaitUsed(5);

        AssertBrokenUntilStopped("avail.ring[5] = 999 names no descriptor of the 256 there are");
    }

    [Fact]
    public void A_used_index_that_the_guest_writes_over_harms_nobody_else()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AssertServes();
        _ring.UsedIndex = 0x1234;
        _ring.AvailableIndex = 0x1234; // the last: a device that polls sees it before any kick

        AssertBrokenUntilStopped("avail.idx jumped from 1 to 4660, further than the 256 entries of the queue");
    }

    private void AssertAnsweredWithLength0(ChainFaultKind kind, string expected, ulong features = FrontEnd.ModernFeatures)
    {
        const int Times = 1000, AtOnce = 250;
        _frontEnd.Start(_ram, _ring, features);
        for (int sent = 0; sent < Times; sent += AtOnce)
        {
            for (int i = 0; i < AtOnce; i++)
                _ring.Offer(0);
            _ring.Kick.Signal();
            _ring.WaitUsed((ushort)(sent + AtOnce));
            for (int i = 0; i < AtOnce; i++)
                Assert.Equal((0u, 0u), (_ring.UsedAt((ushort)(sent + i)).Id, _ring.UsedAt((ushort)(sent + i)).Length));
        }

        Assert.Equal(64u, _ring.Serve(head: 100));
        Assert.StartsWith($"queue 0: {expected}", Assert.Single(_served.Log.Warnings), StringComparison.Ordinal);
        Assert.Empty(_served.Log.Errors);
        _frontEnd.Dispose();
        SessionReport report = _served.NextReport();
        Assert.Null(report.Ended);
        Assert.Equal([KeyValuePair.Create(kind.ToString(), Times)], report.Faults);
        Assert.Equal((Times + 1UL, (ulong)Times, 64UL), (report.Queues[0].Counts.Chains, report.Queues[0].Counts.FaultyChains, report.Queues[0].Counts.BytesWritten));
    }

    private void AssertBrokenUntilStopped(string expected)
    {
        _ring.Kick.Signal();

        Assert.True(Readiness.WaitReadable(_ring.Error.Descriptor, Patience.Limit), "nobody signals the error descriptor");
        Assert.Equal(64UL, _frontEnd.AskU64(FrontEndRequest.GetStatus));
        Assert.Equal($"the device needs a reset: queue 0: {expected}", Assert.Single(_served.Log.Errors));
        ushort at = _ring.UsedIndex;
        _ring.Kick.Signal();
        _frontEnd.Barrier();
        Assert.Equal(at, _ring.UsedIndex);

        _frontEnd.StopRing(_ring);
        Assert.Equal(0UL, _frontEnd.AskU64(FrontEndRequest.GetStatus));
        _ring.Restart();
        _frontEnd.StartRing(_ring);
        _ring.AssertServes();
        _frontEnd.Dispose();
        SessionReport report = _served.NextReport();
        Assert.Equal(1, report.Faults["NeedsReset"]);
        Assert.Equal(2, report.RingStarts);
    }
}
