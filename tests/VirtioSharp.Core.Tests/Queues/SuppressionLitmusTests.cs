using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Queues.Packed;
using VirtioSharp.Core.Queues.Split;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Two real threads and the race of §2.7.10.1: publish and look at the event, against arm and look at the index.</summary>
[Collection(Alone)]
[CollectionDefinition(Alone, DisableParallelization = true)]
public sealed class SuppressionLitmusTests
{
    private const string Alone = "alone, because it needs two processors";

    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(2.5);

    [Theory]
    [InlineData(4, false)]
    [InlineData(4, true)]
    [Proves("Split ring", "in process")]
    [Proves("EVENT_IDX", "in process")]
    public void A_split_ring_loses_no_notification(int size, bool eventIdx) => AssertKeeps<SplitDriverRing, SplitDeviceRing>(size, eventIdx);

    [Theory]
    [InlineData(3, false)]
    [InlineData(3, true)]
    [Proves("Packed ring", "in process")]
    [Proves("EVENT_IDX", "in process")]
    public void A_packed_ring_loses_no_notification(int size, bool eventIdx) => AssertKeeps<PackedDriverRing, PackedDeviceRing>(size, eventIdx);

    [Fact]
    public void The_control_loses_no_notification_while_it_has_its_fences() => AssertKeeps<UnfencedDriver, UnfencedDevice>(1, eventIdx: true);

    [Fact]
    public void The_control_is_seen_to_lose_one_without_its_fences()
    {
        Assert.SkipWhen(Environment.ProcessorCount < 2, "on one processor no load overtakes another's store");
        for (int attempt = 0; attempt < 12; attempt++)
        {
            using var litmus = new Litmus<UnfencedDriver, UnfencedDevice>(1, new QueueOptions(Indirect: false, EventIdx: false), Duration);
            if (litmus.LosesNotification())
                return;
        }

        Assert.Fail("the broken control ran for 30 s and lost nothing: this litmus cannot see a missing fence");
    }

    private static void AssertKeeps<TDriver, TDevice>(int size, bool eventIdx)
        where TDriver : struct, IDriverRing<TDriver>
        where TDevice : struct, IDeviceRing<TDevice>
    {
        using var litmus = new Litmus<TDriver, TDevice>(size, new QueueOptions(Indirect: false, eventIdx), Duration);

        bool lost = litmus.LosesNotification();

        Assert.False(lost, $"both ends sleep after {litmus.Rounds} chains and {litmus.Sleeps} sleeps: a notification was lost");
        TestContext.Current.TestOutputHelper?.WriteLine($"{litmus.Rounds} chains, {litmus.Sleeps} sleeps");
        Assert.True(litmus.Rounds > 100 && litmus.Sleeps > 50, $"only {litmus.Rounds} chains and {litmus.Sleeps} sleeps");
    }
}
