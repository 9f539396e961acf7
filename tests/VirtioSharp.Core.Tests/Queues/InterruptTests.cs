using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>When a device's end of a split ring wants the driver interrupted (§2.7.7).</summary>
public sealed class InterruptTests : IDisposable
{
    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(0x1_0000_0000), 1 << 16);
    private readonly RawRing _raw;
    private ChainSegments _segments = new(8);
    private GuestMemory _memory;

    public InterruptTests()
    {
        _raw = new RawRing(_arena, 8);
        _raw[0] = new Descriptor(_arena.Allocate(8).Address.Value, 8, DescriptorFlags.Write, 0);
        _memory = new GuestMemory(MemoryMap.Create([_arena.Region]));
    }

    public void Dispose() => _arena.Dispose();

    [Fact]
    [Proves("Split ring", "in process")]
    public void NO_INTERRUPT_suppresses_it()
    {
        SplitDeviceRing ring = Attach(eventIdx: false);

        _raw.AvailableFlags = SplitLayout.NoInterrupt;
        Assert.False(Serve(ref ring));
        _raw.AvailableFlags = 0;
        Assert.True(Serve(ref ring));
    }

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void With_EVENT_IDX_the_flag_is_ignored_and_the_event_decides()
    {
        SplitDeviceRing ring = Attach(eventIdx: true);
        _raw.AvailableFlags = SplitLayout.NoInterrupt;
        _raw.UsedEvent = 2;

        Assert.True(Serve(ref ring)); // the first one always: an event that was never written says nothing
        Assert.False(Serve(ref ring));
        Assert.True(Serve(ref ring));
        Assert.False(Serve(ref ring));
    }

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void A_batch_that_steps_over_the_event_interrupts_once()
    {
        SplitDeviceRing ring = Attach(eventIdx: true);
        Serve(ref ring);
        _raw.UsedEvent = 3;

        Assert.True(Serve(ref ring, chains: 6));
        Assert.False(Serve(ref ring, chains: 2));
    }

    [Fact]
    [Proves("NOTIFY_ON_EMPTY", "in process")]
    public void NOTIFY_ON_EMPTY_interrupts_against_the_flag_when_the_ring_ran_empty()
    {
        SplitDeviceRing ring = Attach(eventIdx: false, notifyOnEmpty: true);
        _raw.AvailableFlags = SplitLayout.NoInterrupt;
        _raw.Offer(0);

        Assert.False(Serve(ref ring, chains: 1));
        Assert.True(Serve(ref ring, chains: 0, served: 1));
    }

    [Fact]
    [Proves("NOTIFY_ON_EMPTY", "in process")]
    public void NOTIFY_ON_EMPTY_interrupts_against_the_event_too_and_not_while_more_is_available()
    {
        SplitDeviceRing ring = Attach(eventIdx: true, notifyOnEmpty: true);
        Serve(ref ring);
        _raw.UsedEvent = 100;
        _raw.Offer(0);

        Assert.False(Serve(ref ring, chains: 1));
        Assert.True(Serve(ref ring, chains: 0, served: 1));
    }

    [Fact]
    [Proves("NOTIFY_ON_EMPTY", "in process")]
    public void Nothing_used_interrupts_nobody()
    {
        SplitDeviceRing ring = Attach(eventIdx: false, notifyOnEmpty: true);

        Assert.False(ring.Publish());
    }

    [Fact]
    [Proves("Split ring", "in process")]
    public void Notifications_are_suppressed_by_the_flag_and_asked_for_again()
    {
        SplitDeviceRing ring = Attach(eventIdx: false);

        ring.SuppressNotifications();
        Assert.Equal(SplitLayout.NoNotify, _raw.UsedFlags);
        Assert.False(ring.RearmNotifications());
        Assert.Equal(0, _raw.UsedFlags);
    }

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void With_EVENT_IDX_notifications_are_asked_for_by_the_event_and_the_flag_stays_0()
    {
        SplitDeviceRing ring = Attach(eventIdx: true);
        Serve(ref ring, chains: 3);

        ring.SuppressNotifications();
        Assert.False(ring.RearmNotifications());

        Assert.Equal((0, 3), (_raw.UsedFlags, _raw.AvailableEvent));
    }

    [Fact]
    public void A_chain_that_came_while_nobody_looked_is_seen_when_notifications_are_asked_for()
    {
        SplitDeviceRing ring = Attach(eventIdx: true);
        Assert.False(ring.HasAvailable());

        _raw.Offer(0);

        Assert.True(ring.RearmNotifications());
    }

    private SplitDeviceRing Attach(bool eventIdx, bool notifyOnEmpty = false) =>
        SplitDeviceRing.Attach(_raw.Layout, ref _memory, new QueueOptions(Indirect: false, eventIdx, notifyOnEmpty), default);

    /// <summary>Offers some chains, serves as many and publishes once.</summary>
    private bool Serve(ref SplitDeviceRing ring, int chains = 1, int served = 0)
    {
        for (int i = 0; i < chains; i++)
            _raw.Offer(0);
        for (int i = 0; i < Math.Max(chains, served); i++)
        {
            Assert.True(ring.TryPop(ref _memory, ref _segments, out RingChain chain));
            ring.Push(chain, 0);
        }

        return ring.Publish();
    }
}
