using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Spec.DescriptorFlags;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Rings in which nothing can be trusted any more: the device says NEEDS_RESET, and serves again after a reset.</summary>
[Proves("Hostile driver", "in process")]
[Proves("NEEDS_RESET", "in process")]
public sealed class HostileRingTests : IDisposable
{
    private readonly HostileDriver _driver = new();

    private ulong Good => _driver.Good.Address.Value;

    public void Dispose() => _driver.Dispose();

    [Theory]
    [InlineData(9)]
    [InlineData(0x8000)]
    [InlineData(0xFFFF)]
    public void An_available_index_that_jumps_further_than_the_queue_stops_the_device(ushort index)
    {
        _driver.Ring.AvailableIndex = index;

        _driver.Kick();

        _driver.AssertStoppedUntilReset($"avail.idx jumped from 0 to {index}, further than the 8 entries of the queue");
    }

    [Fact]
    public void An_available_index_that_goes_back_stops_the_device()
    {
        _driver.AssertServes();
        _driver.Ring.AvailableIndex = 0;

        _driver.Kick();

        _driver.AssertStoppedUntilReset("avail.idx jumped from 1 to 0, further than the 8 entries of the queue");
    }

    [Theory]
    [InlineData(8)]
    [InlineData(0xFFFF)]
    public void A_head_that_names_no_descriptor_stops_the_device(ushort head)
    {
        _driver.Ring.Offer(head);

        _driver.Kick();

        _driver.AssertStoppedUntilReset($"avail.ring[0] = {head} names no descriptor of the 8 there are");
    }

    [Theory]
    [InlineData(8)]
    [InlineData(0xFFFF)]
    public void A_next_field_that_names_no_descriptor_stops_the_device(ushort next)
    {
        _driver.Ring[0] = new Descriptor(Good, 8, Next, next);
        _driver.Ring.Offer(0);

        _driver.Kick();

        _driver.AssertStoppedUntilReset($"desc.next = {next} names no descriptor of the 8 there are");
    }

    [Fact]
    public void A_chain_that_loops_stops_the_device()
    {
        _driver.Ring[2] = new Descriptor(Good, 8, Write | Next, 6);
        _driver.Ring[6] = new Descriptor(Good, 8, Write | Next, 2);
        _driver.Ring.Offer(2);

        _driver.Kick();

        _driver.AssertStoppedUntilReset("the chain at descriptor 2 has more links than the queue's 8 descriptors: it loops");
    }

    [Fact]
    public void A_chain_of_empty_buffers_that_loops_stops_the_device()
    {
        _driver.Ring[0] = new Descriptor(Good, 0, Next, 0);
        _driver.Ring.Offer(0);

        _driver.Kick();

        _driver.AssertStoppedUntilReset("the chain at descriptor 0 has more links than the queue's 8 descriptors: it loops");
    }

    [Fact]
    public void What_was_served_before_the_ring_broke_stays_served()
    {
        _driver.Ring[0] = new Descriptor(Good, 16, Write, 0);
        _driver.Ring.Offer(0);
        _driver.Ring.Offer(99);

        _driver.Kick();

        Assert.Equal(1, _driver.Ring.UsedIndex);
        Assert.Equal(16u, _driver.Ring.Used(0).Length);
        Assert.Equal(1, _driver.Line.UsedBuffers);
        _driver.AssertStoppedUntilReset("avail.ring[1] = 99 names no descriptor of the 8 there are");
    }

    [Fact]
    public void A_head_that_is_offered_again_and_again_is_served_each_time_and_no_more()
    {
        _driver.Ring[0] = new Descriptor(Good, 16, Write, 0);
        for (int i = 0; i < 8; i++)
            _driver.Ring.Offer(0);

        _driver.Kick();

        Assert.Equal(8, _driver.Ring.UsedIndex);
        Assert.Equal(8, _driver.Device.Chains);
        _driver.AssertServes();
    }

    [Fact]
    public void A_look_at_a_broken_ring_stops_the_device_too()
    {
        _driver.Ring.AvailableIndex = 100;

        Assert.False(_driver.Host.HasAvailable(0));

        _driver.AssertStoppedUntilReset("avail.idx jumped from 0 to 100, further than the 8 entries of the queue");
    }

    [Fact]
    public void The_driver_hears_of_a_stop_only_once()
    {
        _driver.Ring.AvailableIndex = 100;

        _driver.Kick();
        _driver.Kick();
        _driver.Host.Wake();

        Assert.Equal(1, _driver.Line.ConfigurationChanges);
        Assert.Equal(DeviceStatus.NeedsReset, _driver.Host.Status & DeviceStatus.NeedsReset);
    }
}
