using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>A ring's messages come in any order and more than once, while the driver uses the ring.</summary>
public sealed class RingLifeTests : IDisposable
{
    private readonly ServedDevice _served = new();
    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring;
    private readonly FrontEnd _frontEnd;

    public RingLifeTests() => (_ring, _frontEnd) = (new GuestRing(_ram), _served.Connect());

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void A_chain_kicked_before_the_ring_is_enabled_is_served_when_it_is()
    {
        Prepare();
        Assert.Equal(0UL, _frontEnd.SendKick(_ring));
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        _frontEnd.Barrier();
        Assert.Equal(0, _ring.UsedIndex);

        _frontEnd.Enable(_ring);

        _ring.WaitUsed(1);
        _ring.AssertServes();
    }

    [Fact]
    public void A_ring_may_be_enabled_before_it_is_started()
    {
        Prepare();
        Assert.Equal(0UL, _frontEnd.Enable(_ring));
        _ring.OfferBuffer();
        _frontEnd.Barrier();
        Assert.Equal(0, _ring.UsedIndex);

        _frontEnd.SendKick(_ring);

        _ring.WaitUsed(1);
        _ring.AssertServes();
    }

    [Fact]
    public void A_kick_that_came_before_its_descriptor_is_not_lost()
    {
        Prepare();
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        _ring.Kick.TryDrain(out _); // somebody else took it

        _frontEnd.SendKick(_ring);
        _frontEnd.Enable(_ring);

        _ring.WaitUsed(1);
    }

    [Fact]
    public void A_ring_that_is_disabled_keeps_its_chains_until_it_is_enabled()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AssertServes();
        _frontEnd.Enable(_ring, enabled: false);

        _ring.OfferBuffer();
        _ring.Kick.Signal();
        _frontEnd.Barrier();
        Assert.Equal(1, _ring.UsedIndex);

        _frontEnd.Enable(_ring);
        _ring.WaitUsed(2);
    }

    [Fact]
    public void The_call_descriptor_may_be_replaced_and_taken_away_while_the_ring_runs()
    {
        _frontEnd.Start(_ram, _ring);
        for (int i = 0; i < 20; i++)
        {
            _frontEnd.SendCall(_ring);
            _ring.AssertServes();
        }

        _frontEnd.Do(FrontEndRequest.SetVringCall, Wire.U64(Wire.NoFd));
        _ring.Call.TryDrain(out _);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Assert.True(Patience.Until(() => _ring.UsedIndex == 21));
        _frontEnd.Barrier();
        Assert.False(_ring.Call.TryDrain(out _));

        _frontEnd.SendCall(_ring);
        Assert.True(Readiness.WaitReadable(_ring.Call.Descriptor, Patience.Limit), "what was used meanwhile is never told");
        _ring.AssertServes();
    }

    [Fact]
    public void The_kick_descriptor_may_be_replaced_while_the_ring_runs()
    {
        _frontEnd.Start(_ram, _ring);
        using var second = new GuestRing(_ram, GuestRing.Extent); // only its kick descriptor is of use here
        _ring.AssertServes();

        Assert.Equal(0UL, _frontEnd.SendKick(second));

        _ring.OfferBuffer();
        second.Kick.Signal();
        _ring.WaitUsed(2);
    }

    [Fact]
    public void Features_that_are_set_again_lose_no_chain()
    {
        _frontEnd.Start(_ram, _ring);
        for (ushort i = 0; i < 200; i++)
        {
            _ring.OfferBuffer();
            _frontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(FrontEnd.ModernFeatures));
            _ring.Kick.Signal();
            _frontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(FrontEnd.ModernFeatures));
            _ring.WaitUsed((ushort)(i + 1));
        }

        _frontEnd.Dispose();
        Assert.Equal(1, _served.NextReport().RingStarts);
    }

    [Fact]
    public void Other_features_may_be_set_while_the_ring_runs()
    {
        _frontEnd.Start(_ram, _ring);
        for (int i = 0; i < 50; i++)
        {
            _ring.OfferBuffer();
            _frontEnd.SetFeatures(i % 2 == 0 ? Wire.ProtocolFeatures | Wire.Version1 : FrontEnd.ModernFeatures);
            _ring.Kick.Signal();
            _ring.WaitUsed((ushort)(2 * i + 1));
            _ring.AssertServes();
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0xFFF0)]
    [InlineData(0xFFFF)]
    [Proves("Split ring", "vhost-user")]
    public void A_ring_that_is_stopped_goes_on_where_it_stood(ushort start)
    {
        _ring.Restart(start);
        _frontEnd.Start(_ram, _ring, at: start);
        ushort at = start;
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 10; i++)
                _ring.AssertServes();
            at += 10;
            Assert.Equal(at, _frontEnd.StopRing(_ring));
            _frontEnd.StartRing(_ring, at);
        }

        _ring.AssertServes();
    }

    [Fact]
    public void A_ring_that_is_stopped_is_left_alone()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AssertServes();
        _frontEnd.StopRing(_ring);

        _ring.OfferBuffer();
        _ring.Kick.Signal();
        _frontEnd.Enable(_ring);
        _frontEnd.Barrier();

        Assert.Equal(1, _ring.UsedIndex);
        Assert.Equal(1u, _frontEnd.StopRing(_ring)); // a second time says the same
    }

    [Fact]
    [Proves("Split ring", "vhost-user")]
    public void A_thousand_chains_of_several_buffers_are_served_in_batches()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.SetDescriptor(0, _ring.Buffer, 16, DescriptorFlags.Next, next: 1);
        _ring.SetDescriptor(1, _ring.Buffer + 16, 20, DescriptorFlags.Next | DescriptorFlags.Write, next: 200);
        _ring.SetDescriptor(200, _ring.Buffer + 100, 30, DescriptorFlags.Write);
        for (ushort sent = 250; sent <= 1000; sent += 250)
        {
            for (int i = 0; i < 250; i++)
                _ring.Offer((ushort)(i % 2));
            _ring.Kick.Signal();
            _ring.WaitUsed(sent);
            for (ushort i = (ushort)(sent - 250); i < sent; i++)
                Assert.Equal((i % 2, 50), ((int)_ring.UsedAt(i).Id, (int)_ring.UsedAt(i).Length));
        }

        _frontEnd.Dispose();
        SessionReport report = _served.NextReport();
        Assert.Equal((1000UL, 50_000UL), (report.Queues[0].Counts.Chains, report.Queues[0].Counts.BytesWritten));
    }

    [Fact]
    [Proves("Split ring", "vhost-user")]
    public void A_driver_that_wants_no_interrupts_gets_none()
    {
        _frontEnd.Start(_ram, _ring, Wire.ProtocolFeatures | Wire.Version1);
        _ring.AvailableFlags = SplitLayout.NoInterrupt;
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Assert.True(Patience.Until(() => _ring.UsedIndex == 1));
        _frontEnd.Barrier();

        Assert.False(_ring.Call.TryDrain(out _));

        _ring.AvailableFlags = 0;
        _ring.AssertServes();
    }

    [Fact]
    [Proves("EVENT_IDX", "vhost-user")]
    public void With_EVENT_IDX_an_interrupt_comes_when_the_driver_asked_for_it()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.AssertServes(); // the first always interrupts
        _frontEnd.Barrier();
        _ring.Call.TryDrain(out _);
        _ring.UsedEvent = 9;
        for (ushort i = 2; i <= 12; i++)
        {
            _ring.OfferBuffer();
            _ring.Kick.Signal();
            Assert.True(Patience.Until(() => _ring.UsedIndex == i));
            _frontEnd.Barrier();

            Assert.Equal(i == 10, _ring.Call.TryDrain(out _));
        }

        Assert.Equal(12, _ring.AvailableEvent);
    }

    [Fact]
    [Proves("INDIRECT_DESC", "vhost-user")]
    public void An_indirect_table_is_followed()
    {
        _frontEnd.Start(_ram, _ring);
        _ring.SetIndirect(0, _ring.Buffer, 10, DescriptorFlags.Next, next: 2);
        _ring.SetIndirect(2, _ring.Buffer + 100, 20, DescriptorFlags.Write | DescriptorFlags.Next, next: 1);
        _ring.SetIndirect(1, _ring.Buffer + 200, 30, DescriptorFlags.Write);
        _ring.SetDescriptor(7, _ring.IndirectTable, 3 * Descriptor.Size, DescriptorFlags.Indirect);
        _ring.Offer(7);

        _ring.Kick.Signal();
        _ring.WaitUsed(1);

        Assert.Equal((7u, 50u), (_ring.UsedAt(0).Id, _ring.UsedAt(0).Length));
        Assert.True(_ring.BufferBytes(200, 30).ContainsAnyExcept((byte)0));
    }

    /// <summary>Everything but the kick descriptor and ENABLE.</summary>
    private void Prepare()
    {
        _frontEnd.Negotiate();
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        _frontEnd.AddMemory(_ram);
        _frontEnd.Describe(_ring);
    }

    [Fact]
    public void A_ring_that_waits_for_the_features_is_not_run_without_them_first()
    {
        var device = new StartRecorder();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Send(FrontEndRequest.SetMemTable, Wire.Table(1, ram.Region), ram.File);
        frontEnd.Describe(ring);
        frontEnd.Send(FrontEndRequest.SetVringKick, Wire.U64(0), ring.Kick.Descriptor);

        frontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(Wire.Version1 | Wire.EventIdx)); // without the protocol's bit it enables the ring, too
        frontEnd.Barrier();

        Assert.Equal([new FeatureSet(Wire.Version1 | Wire.EventIdx)], device.Starts);
    }
}
