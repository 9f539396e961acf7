using FsCheck;
using FsCheck.Fluent;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Spec;

[Proves("Packed ring", "in process")]
public sealed class PackedLayoutTests
{
    [Fact]
    public void A_queue_size_is_any_number_up_to_32768() =>
        Assert.Equal(Enumerable.Range(1, 32768), Enumerable.Range(-10, 70_010).Append(int.MinValue).Append(int.MaxValue).Where(PackedLayout.IsValidSize));

    [Fact]
    public void AVAIL_and_USED_are_bits_7_and_15()
    {
        Assert.Equal(0x0080, (int)PackedLayout.AvailableFlags(wrapCounter: true));
        Assert.Equal(0x8000, (int)PackedLayout.AvailableFlags(wrapCounter: false));
        Assert.Equal(0x8080, (int)PackedLayout.UsedFlags(wrapCounter: true));
        Assert.Equal(0x0000, (int)PackedLayout.UsedFlags(wrapCounter: false));
    }

    [Fact]
    public void A_descriptor_is_available_or_used_in_one_turn_only()
    {
        for (int flags = 0; flags <= 0xFFFF; flags++)
        {
            bool available = (flags & 0x80) != 0, used = (flags & 0x8000) != 0;
            foreach (bool wrap in new[] { false, true })
            {
                Assert.Equal(available == wrap && used != wrap, PackedLayout.IsAvailable((DescriptorFlags)flags, wrap));
                Assert.Equal(available == wrap && used == wrap, PackedLayout.IsUsed((DescriptorFlags)flags, wrap));
            }
        }
    }

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void A_peer_is_notified_exactly_when_a_move_steps_over_its_event_in_small_rings()
    {
        for (int size = 1; size <= 9; size++)
            for (int from = 0; from < 2 * size; from++)
                for (int count = 1; count <= size; count++)
                    for (int at = 0; at < 2 * size; at++)
                        AssertStepsOver(size, from, count, at);
    }

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void A_peer_is_notified_exactly_when_a_move_steps_over_its_event_in_rings_of_any_size() =>
        Prop.ForAll<ushort, ushort, ushort>((a, b, c) =>
        {
            foreach (int size in new[] { 1 + a % 32768, 32768, 32767 })
            {
                int from = b % (2 * size);
                foreach (int count in new[] { 1, 1 + c % size, size })
                    foreach (int at in new[] { from, from + count - 1, from + count, from + 2 * size - 1, c })
                        AssertStepsOver(size, from, count, at % (2 * size));
            }
        }).QuickCheckThrowOnFailure();

    /// <summary>The rule one entry at a time, on a circle of two turns: turn 0 has wrap counter 1, turn 1 has 0.</summary>
    private static void AssertStepsOver(int size, int from, int count, int at)
    {
        int to = (from + count) % (2 * size);
        int distance = (at - from + 2 * size) % (2 * size);
        bool expected = distance < count;

        bool notify = PackedLayout.ShouldNotify(size, PackedLayout.EventPosition(at % size, at < size), to % size, to < size, from % size);

        Assert.True(expected == notify, $"size {size}: from {from} by {count} with the event at {at}: {notify}");
    }
}
