using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Both ends against a plain model, with every combination of ring features.</summary>
[Proves("INDIRECT_DESC", "in process")]
[Proves("EVENT_IDX", "in process")]
[Proves("IN_ORDER", "in process")]
[Proves("NOTIFICATION_DATA", "in process")]
[Proves("Snapshot and restore", "in process")]
[Proves("Reconnect", "in process")]
public sealed class RingModelTests
{
    /// <summary>Chains that take a split ring past the wrap of its 16-bit indices.</summary>
    private const int OverTheWrap = 67_000;

    /// <summary>Chains that turn any of these rings round hundreds of times.</summary>
    private const int ManyTurns = 5_000;

    /// <summary>Queue sizes, each with a seed that is new in every run and part of every message.</summary>
    public static TheoryData<int, int> SplitSizes => Seeded(1, 2, 4, 8);

    public static TheoryData<int, int> PackedSizes => Seeded(1, 2, 3, 4, 5, 7, 8);

    [Theory]
    [MemberData(nameof(SplitSizes))]
    [Proves("Split ring", "in process")]
    public void A_split_ring_agrees_with_a_plain_model_over_the_wrap_of_its_indices(int size, int seed) =>
        Run<SplitDriverRing, SplitDeviceRing>(size, size == 4 ? OverTheWrap : ManyTurns, seed);

    [Theory]
    [MemberData(nameof(PackedSizes))]
    [Proves("Packed ring", "in process")]
    public void A_packed_ring_agrees_with_a_plain_model_over_the_wraps_of_its_counters(int size, int seed) =>
        Run<PackedDriverRing, PackedDeviceRing>(size, ManyTurns, seed);

    private static TheoryData<int, int> Seeded(params int[] sizes) => new(sizes.Select(size => (size, Environment.TickCount)));

    private static void Run<TDriver, TDevice>(int size, int chains, int seed)
        where TDriver : struct, IDriverRing<TDriver>
        where TDevice : struct, IDeviceRing<TDevice>
    {
        for (int features = 0; features < 8; features++)
        {
            var options = new QueueOptions(Indirect: (features & 1) != 0, EventIdx: (features & 2) != 0, InOrder: (features & 4) != 0);
            using var pair = new RingPair<TDriver, TDevice>(size, options, seed + features);

            for (long steps = 0; pair.Completed < chains; steps++)
            {
                Assert.True(steps < 100L * chains, $"{pair.Completed} chains after {steps} steps, {options}, seed {seed}: the ring stands still");
                pair.Step();
            }

            Assert.True(pair.Notifications > 100, "somebody slept now and then");
            Assert.True(pair.Returns > 100, "the device went and came back now and then");
            Assert.True(pair.Deaths > 100, "the device died now and then");
        }
    }
}
