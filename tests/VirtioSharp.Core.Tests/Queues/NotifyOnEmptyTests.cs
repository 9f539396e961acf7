using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>NOTIFY_ON_EMPTY as it is negotiated: the last chain of a batch interrupts a driver that wants no interrupts (§6.3).</summary>
[Proves("NOTIFY_ON_EMPTY", "in process")]
public sealed class NotifyOnEmptyTests
{
    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 0)]
    public void It_interrupts_once_the_ring_ran_empty_when_it_was_negotiated(bool negotiated, int interrupts)
    {
        using var driver = new HostileDriver(withheld: (negotiated ? default : Features.NotifyOnEmpty) | Features.EventIdx, more: Features.NotifyOnEmpty);
        driver.Ring.AvailableFlags = SplitLayout.NoInterrupt;
        for (ushort id = 0; id < 4; id++)
            driver.Offer(id, new Entry(driver.Good.Address.Value, 8, DescriptorFlags.Write));

        driver.Kick();

        Assert.Equal(4, driver.TakeUsed().Count);
        Assert.Equal(interrupts, driver.Line.UsedBuffers);
    }
}
