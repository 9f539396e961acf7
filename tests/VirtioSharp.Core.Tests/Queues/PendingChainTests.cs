using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Spec.DescriptorFlags;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Chains that stay in flight: kept by a device, and completed later in any order.</summary>
public abstract class PendingChainTests : IDisposable
{
    private readonly FeatureSet _format;
    private readonly HostileDriver _driver;
    private readonly List<PendingChain> _held = [];

    protected PendingChainTests(FeatureSet format)
    {
        _format = format;
        _driver = new HostileDriver(more: format | Features.RingReset);
        _driver.Device.Answer = (_, scoped ref chain) => _held.Add(chain.Hold());
    }

    private ulong Good => _driver.Good.Address.Value;

    public void Dispose()
    {
        _driver.Dispose();
        GC.SuppressFinalize(this);
    }

    [Fact]
    public void They_complete_in_any_order()
    {
        Hold(4);

        foreach (int i in new[] { 2, 0, 3, 1 })
            _held[i].Complete((uint)i);
        _driver.Host.Flush();

        AssertUsed((2, 2), (0, 0), (3, 3), (1, 1));
        AssertGoesOn();
    }

    [Fact]
    public void The_queue_goes_on_while_one_is_held()
    {
        Hold(1);
        _driver.Device.Answer = null;

        for (ushort id = 1; id < 8; id++)
            Offer(id);
        _driver.Kick();

        AssertUsed([.. Enumerable.Range(1, 7).Select(id => (id, 8))]);
        _held[0].Complete(5);
        _driver.Host.Flush();
        AssertUsed((0, 5));
    }

    [Fact]
    public void Completed_outside_of_a_service_they_are_shown_together_with_one_interrupt()
    {
        Hold(4);
        int interrupts = _driver.Line.UsedBuffers;

        _held[1].Complete(1);
        _held[0].Complete(1);
        _held[3].Complete(1);
        Assert.Empty(_driver.TakeUsed());
        Assert.Equal((1, interrupts), (_driver.Line.Flushes, _driver.Line.UsedBuffers));
        _driver.Host.Flush();
        AssertUsed((1, 1), (0, 1), (3, 1));
        Assert.Equal(interrupts + 1, _driver.Line.UsedBuffers);

        _driver.Host.Flush();
        Assert.Equal(interrupts + 1, _driver.Line.UsedBuffers);
        _held[2].Complete(1);
        Assert.Equal(2, _driver.Line.Flushes);
    }

    [Fact]
    public void Completed_in_a_service_they_need_no_flush()
    {
        Hold(2);
        int interrupts = _driver.Line.UsedBuffers;
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.Write([1]);
            _held.ForEach(held => held.Complete(0));
        };

        Offer(2);
        _driver.Kick();

        AssertUsed((0, 0), (1, 0), (2, 1));
        Assert.Equal((0, interrupts + 1), (_driver.Line.Flushes, _driver.Line.UsedBuffers));
    }

    [Fact]
    [Proves("IN_ORDER", "in process")]
    public void With_IN_ORDER_they_wait_for_those_before_them()
    {
        using var driver = new HostileDriver(more: _format | Features.InOrder);
        var held = new Queue<PendingChain>();
        driver.Device.Answer = (device, scoped ref chain) =>
        {
            switch (device.Chains)
            {
                case 2 or 4: chain.Write([1, 2]); break; // completed at once
                case 3: throw new ChainException("wrong");
                default: held.Enqueue(chain.Hold()); break;
            }
        };
        for (ushort id = 0; id < 6; id++)
            driver.Offer(id, id == 4 ? new Entry(0xBAD_0000, 8) : new Entry(driver.Good.Address.Value, 8, Write));
        driver.Kick();
        Assert.Empty(driver.TakeUsed());
        PendingChain first = held.Dequeue(), last = held.Dequeue();

        last.Complete(5);
        driver.Host.Flush();
        Assert.Empty(driver.TakeUsed());
        Assert.False(last.IsPending);
        first.Complete(7);
        driver.Host.Flush();

        Assert.Equal([(0u, 7u), (1, 2), (2, 0), (3, 2), (4, 0), (5, 5)], driver.TakeUsed().Select(used => (used.Id, used.Length)));
        driver.AssertServes();
    }

    [Fact]
    [Proves("IN_ORDER", "in process")]
    public void With_IN_ORDER_a_name_is_taken_until_its_turn_has_come()
    {
        using var driver = new HostileDriver(more: _format | Features.InOrder);
        driver.Device.Answer = (device, scoped ref chain) =>
        {
            if (device.Chains == 1)
                chain.Hold();
        };
        driver.Offer(0, new Entry(driver.Good.Address.Value, 8, Write));
        driver.Offer(1, new Entry(driver.Good.Address.Value, 8, Write));
        driver.Offer(1, new Entry(driver.Good.Address.Value, 8, Write));

        driver.Kick();

        driver.AssertStoppedUntilReset("chain 1 was made available again while it is in flight");
    }

    [Fact]
    [Proves("Hostile driver", "in process")]
    [Proves("NEEDS_RESET", "in process")]
    public void No_more_than_the_queues_size_can_be_held()
    {
        Hold(8);
        Offer(3);

        _driver.Kick();

        Assert.Equal(8, _held.Count);
        _driver.AssertStoppedUntilReset("chain 3 was made available again while it is in flight");
    }

    [Fact]
    public void A_name_is_free_again_once_its_chain_was_completed()
    {
        Hold(1);
        _held[0].Complete(1);

        Hold(1);
        _held[1].Complete(2);
        _driver.Host.Flush();

        AssertUsed((0, 1), (0, 2));
        Assert.Same(_held[0], _held[1]); // one object for each name
    }

    [Fact]
    public void Completing_twice_throws_and_changes_nothing()
    {
        Hold(1);
        _held[0].Complete(3);

        Assert.Throws<InvalidOperationException>(() => _held[0].Complete(4));
        Assert.Throws<InvalidOperationException>(() => Open(_held[0]));
        _driver.Host.Flush();

        AssertUsed((0, 3));
    }

    [Fact]
    public void Each_time_they_are_opened_they_start_where_they_were_held()
    {
        for (int i = 0; i < 16; i++)
            _driver.Good.Span[i] = (byte)i;
        byte[] header = new byte[5];
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.ReadExactly(header);
            chain.Write([0xAA, 0xBB]);
            _held.Add(chain.Hold());
        };
        _driver.Offer(0, new Entry(Good, 3), new Entry(Good + 3, 5), new Entry(Good + 32, 3, Write), new Entry(Good + 48, 4, Write));
        _driver.Kick();

        for (int i = 0; i < 2; i++)
        {
            DeviceChain chain = _held[0].Open();
            Assert.Equal((3u, 5u, 2u), (chain.ReadableLeft, chain.WritableLeft, chain.Written));
            byte[] rest = new byte[3];
            chain.ReadExactly(rest);
            Assert.Equal([5, 6, 7], rest);
            chain.Write([1, 2, 3]);
            Assert.Equal((5u, 2u), (chain.Written, chain.WritableLeft));
        }

        Assert.Equal(2u, _held[0].Written);
        _held[0].Complete(5);
        _driver.Host.Flush();
        AssertUsed((0, 5));
        Assert.Equal([0xAA, 0xBB, 1], _driver.Good.Span[32..35].ToArray());
        Assert.Equal([2, 3, 0], _driver.Good.Span[48..51].ToArray());
    }

    [Fact]
    public void An_opened_chain_is_neither_held_again_nor_postponed()
    {
        Hold(1);

        Assert.Throws<InvalidOperationException>(() => _held[0].Open().Hold());
        Assert.Throws<InvalidOperationException>(() => _held[0].Open().Postpone());

        AssertCompletes();
    }

    [Fact]
    public void What_is_held_is_not_postponed_and_what_is_postponed_is_not_held()
    {
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.Hold();
            chain.Postpone();
        };
        Offer(0);
        _driver.Kick();
        _driver.AssertStoppedUntilReset("the chain is postponed or held already");

        using var driver = new HostileDriver(more: _format);
        driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.Postpone();
            chain.Hold();
        };
        driver.Offer(0, new Entry(driver.Good.Address.Value, 8, Write));
        driver.Kick();
        driver.AssertStoppedUntilReset("the chain is postponed or held already");
    }

    [Fact]
    public void A_chain_that_is_rejected_after_it_was_held_is_completed_with_nothing()
    {
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.Hold();
            throw new ChainException("on second thoughts");
        };

        Offer(0);
        _driver.Kick();

        AssertUsed((0, 0));
        Assert.Equal("on second thoughts", Assert.Single(_driver.Observer.Faults).Reason);
        Assert.Equal((1ul, 1ul), (_driver.Host.Statistics(0).Chains, _driver.Host.Statistics(0).FaultyChains));
        _driver.AssertServes();
    }

    [Fact]
    public void A_chain_that_is_rejected_after_it_was_completed_is_not_completed_again()
    {
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.Hold().Complete(6);
            throw new ChainException("too late");
        };

        Offer(0);
        _driver.Kick();

        AssertUsed((0, 6));
        _driver.AssertServes();
    }

    [Fact]
    public void The_fault_of_one_chain_leaves_those_that_are_held_alone()
    {
        Hold(2);

        _driver.Offer(2, new Entry(0xBAD_0000, 8, Write));
        _driver.Kick();

        AssertUsed((2, 0));
        Assert.Single(_driver.Observer.Faults);
        AssertCompletes();
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void What_a_device_completes_while_its_queue_stops_is_shown_and_the_rest_is_abandoned(Way way)
    {
        Hold(3);
        _driver.Device.Stopping = () =>
        {
            _held[2].Complete(2);
            _held[0].Complete(1);
        };

        Stop(way);

        AssertUsed((2, 2), (0, 1));
        AssertAbandoned(_held[1]);
        AssertServesAgain(way);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void What_was_completed_before_its_queue_stops_is_shown(Way way)
    {
        Hold(2);
        _driver.Device.Stopping = () => Assert.Fail("nothing is held");
        _held[1].Complete(2);
        _held[0].Complete(1);

        Stop(way);

        AssertUsed((1, 2), (0, 1));
        AssertServesAgain(way);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_fails_while_its_queue_stops_needs_a_reset_and_what_it_completed_is_shown(Way way)
    {
        Hold(2);
        bool failing = true;
        _driver.Device.Stopping = () =>
        {
            _held[1].Complete(2);
            if (failing)
                throw new DeviceException("the disk is gone");
        };

        Stop(way);

        AssertUsed((1, 2));
        AssertAbandoned(_held[0]);
        Assert.Contains(_driver.Observer.Resets, reason => reason.Message == "the disk is gone");
        Assert.Equal(DeviceStatus.NeedsReset, _driver.Host.Status & DeviceStatus.NeedsReset);
        failing = false;
        _driver.Start();
        _driver.AssertServes();
    }

    [Fact]
    [Proves("Snapshot and restore", "in process")]
    public void A_queue_that_finished_what_it_held_goes_on_elsewhere()
    {
        Hold(5);
        _driver.Device.Stopping = () => _held.ForEach(held => held.Complete(1));

        QueueSnapshot at = _driver.Host.DisableQueue(0);
        _driver.Host.EnableQueue(0, _driver.Layout, at);

        AssertUsed((0, 1), (1, 1), (2, 1), (3, 1), (4, 1));
        for (int i = 0; i < 20; i++)
            _driver.AssertServes();
    }

    [Fact]
    public void Holding_allocates_nothing_once_every_name_was_used()
    {
        var held = new Queue<PendingChain>(8);
        _driver.Device.Answer = (_, scoped ref chain) => held.Enqueue(chain.Hold());
        Round(100);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Round(10_000);
        long after = GC.GetAllocatedBytesForCurrentThread();

        Assert.Equal(0, after - before);
        Assert.Equal(10_100ul * 3, _driver.Host.Statistics(0).Chains);

        void Round(int rounds)
        {
            Span<Entry> chain = [new Entry(Good, 8), new Entry(Good, 8, Write)];
            for (int i = 0; i < rounds; i++)
            {
                for (ushort id = 0; id < 6; id += 2)
                    _driver.Offer(id, chain);
                _driver.Kick();
                while (held.TryDequeue(out PendingChain? pending))
                {
                    pending.Open().Write([1]);
                    pending.Complete(1);
                }

                _driver.Host.Flush();
                while (_driver.IsPacked && _driver.PackedRing.TryTakeUsed(out _))
                {
                }
            }
        }
    }

    public static TheoryData<Way> Ways => [.. Enum.GetValues<Way>()];

    /// <summary>How a queue may stop.</summary>
    public enum Way
    {
        Disable,
        ResetQueue,
        ResetDevice,
        NewMemory,
        EnableAnew,
    }

    private void Stop(Way way)
    {
        switch (way)
        {
            case Way.Disable: _driver.Host.DisableQueue(0); break;
            case Way.ResetQueue: _driver.Host.ResetQueue(0); break;
            case Way.ResetDevice: _driver.Host.WriteStatus(DeviceStatus.Reset); break;
            case Way.NewMemory: _driver.Host.SetMemory(MemoryMap.Create([_driver.Arena.Region])); break;
            default: _driver.Host.EnableQueue(0, _driver.AnotherLayout()); break;
        }
    }

    private void AssertServesAgain(Way way)
    {
        Assert.Empty(_driver.Observer.Resets);
        if (way != Way.NewMemory) // there it goes on as it is
            _driver.Start();
        _driver.Device.Stopping = null;
        _driver.AssertServes();
        Assert.Empty(_driver.Observer.Resets);
    }

    /// <summary>Completing it does nothing, and nothing of it can be reached.</summary>
    private void AssertAbandoned(PendingChain chain)
    {
        Assert.False(chain.IsPending);
        Assert.Throws<InvalidOperationException>(() => Open(chain));
        chain.Complete(99);
        chain.Complete(99);
        _driver.Host.Flush();
        Assert.Empty(_driver.TakeUsed());
    }

    private void Hold(int chains)
    {
        int before = _held.Count;
        for (ushort id = 0; id < chains; id++)
            Offer(id);
        _driver.Kick();
        Assert.Equal(before + chains, _held.Count);
        Assert.All(_held[before..], held => Assert.True(held.IsPending));
    }

    private void Offer(ushort id) => _driver.Offer(id, new Entry(Good, 8, Write));

    private void AssertCompletes()
    {
        _held.ForEach(held => held.Complete(4));
        _driver.Host.Flush();
        AssertUsed([.. Enumerable.Range(0, _held.Count).Select(id => (id, 4))]);
        AssertGoesOn();
    }

    private void AssertGoesOn()
    {
        Assert.Empty(_driver.Observer.Resets);
        _driver.AssertServes();
    }

    private void AssertUsed(params (int Id, int Length)[] expected) =>
        Assert.Equal(expected, _driver.TakeUsed().Select(used => ((int)used.Id, (int)used.Length)));

    private static void Open(PendingChain chain) => chain.Open();
}

[Proves("Chains in flight", "in process")]
[Proves("Split ring", "in process")]
public sealed class SplitPendingChainTests() : PendingChainTests(Features.None);

[Proves("Chains in flight", "in process")]
[Proves("Packed ring", "in process")]
public sealed class PackedPendingChainTests() : PendingChainTests(Features.RingPacked);
