using FsCheck;
using FsCheck.Fluent;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Spec;

[Proves("Split ring", "in process")]
public sealed class SplitLayoutTests
{
    [Theory]
    [InlineData(1, 16, 8, 14)]
    [InlineData(2, 32, 10, 22)]
    [InlineData(256, 4096, 518, 2054)]
    [InlineData(32768, 524288, 65542, 262150)]
    public void The_areas_have_the_sizes_of_the_specification(int size, int descriptors, int driver, int device)
    {
        Assert.Equal(descriptors, SplitLayout.DescriptorTableBytes(size));
        Assert.Equal(driver, SplitLayout.DriverAreaBytes(size));
        Assert.Equal(device, SplitLayout.DeviceAreaBytes(size));
        Assert.Equal(driver - 2, SplitLayout.UsedEventOffset(size));
        Assert.Equal(device - 2, SplitLayout.AvailEventOffset(size));
    }

    [Fact]
    public void A_queue_size_is_a_power_of_two_up_to_32768() =>
        Assert.Equal(
            Enumerable.Range(0, 16).Select(shift => 1 << shift),
            Enumerable.Range(-10, 70_010).Append(int.MinValue).Append(int.MaxValue).Append(1 << 30).Where(SplitLayout.IsValidSize));

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void A_peer_is_notified_exactly_when_the_index_steps_over_its_event() =>
        Prop.ForAll<ushort, ushort, short>((old, count, distance) =>
        {
            ushort current = (ushort)(old + count);
            ushort eventIndex = (ushort)(old + distance % 8);
            return SplitLayout.ShouldNotify(eventIndex, current, old) == StepsOver(eventIndex, current, old)
                && SplitLayout.ShouldNotify((ushort)distance, current, old) == StepsOver((ushort)distance, current, old);
        }).QuickCheckThrowOnFailure();

    [Fact]
    [Proves("EVENT_IDX", "in process")]
    public void A_peer_is_notified_exactly_when_the_index_steps_over_its_event_also_where_the_index_wraps()
    {
        for (int old = 0xFFF0; old <= 0x1_0010; old++)
            for (int count = 0; count <= 32; count++)
                for (int distance = -40; distance <= 40; distance++)
                    Assert.Equal(
                        StepsOver((ushort)(old + distance), (ushort)(old + count), (ushort)old),
                        SplitLayout.ShouldNotify((ushort)(old + distance), (ushort)(old + count), (ushort)old));
    }

    /// <summary>The rule one step at a time: some entry between the old index and the new one is the event's.</summary>
    private static bool StepsOver(ushort eventIndex, ushort current, ushort old)
    {
        for (ushort index = old; index != current; index++)
            if (index == eventIndex)
                return true;
        return false;
    }
}
