using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>Translations are more than there is room for.</summary>
[Proves("ACCESS_PLATFORM (IOTLB)", "vhost-user")]
public sealed class IotlbRoomTests : IotlbTest
{
    [Fact]
    public void A_request_over_more_pages_than_can_be_known_at_one_time_is_answered_and_the_next_is_served()
    {
        const int most = IotlbMessages.MaxEntries / 2;
        using var large = new GuestRam(guestAddress: 1UL << 40, userAddress: 1UL << 40, size: 64 << 20);
        StartMapped();
        FrontEnd.AddMemory(large);
        Ring.SetDescriptor(0, 2 * Io, 33 << 20, DescriptorFlags.Write);
        Ring.Offer(0);
        Ring.Kick.Signal();

        for (ulong i = 0; i < most; i++)
            Assert.Equal((2 * Io + i * 4096, Write), Iommu.Answer(page => page - 2 * Io + large.Region.UserAddress));

        Ring.WaitUsed(1);
        Assert.Equal(0u, Ring.UsedAt(0).Length);
        Served.Log.WaitFor($"the request needs more than {most} translations at one time");
        Assert.Equal(1u, Ring.Serve());
        Iommu.AssertSilent();
    }

    [Fact]
    public void Translations_without_end_take_the_place_of_the_oldest_but_for_those_of_rings()
    {
        StartMapped();
        Assert.Equal(1u, Ring.Serve());

        for (ulong i = 0; i <= IotlbMessages.MaxEntries; i++)
            Assert.Equal(0UL, Iommu.Map(2 * Io + i * GuestIommu.PageBytes, GuestIommu.PageBytes, Ram.Region.UserAddress, Read));

        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Assert.Equal((Ring.Buffer, Write), Iommu.Answer(ToUser));
        Ring.WaitUsed(2);
    }
}
