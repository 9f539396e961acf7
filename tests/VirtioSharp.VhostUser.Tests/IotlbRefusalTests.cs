using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>What a device asks a translation for is not allowed, or seems so.</summary>
[Proves("ACCESS_PLATFORM (IOTLB)", "vhost-user")]
public sealed class IotlbRefusalTests : IotlbTest
{
    [Fact]
    public void A_late_translation_that_gives_less_than_another_ring_waits_for_does_not_refuse_it()
    {
        StartMapped();
        MapRing(Other);
        FrontEnd.StartRing(Other);
        ulong page = 2 * Io, user = ToUser(Ring.Buffer);
        Ring.SetDescriptor(0, page, 64, 0);
        Ring.Offer(0);
        Ring.Kick.Signal();
        Assert.Equal((page, Read), Iommu.NextMiss());
        FrontEnd.StopRing(Ring);
        Other.SetDescriptor(0, page, 64, DescriptorFlags.Write);
        Other.Offer(0);
        Other.Kick.Signal();
        Assert.Equal((page, Write), Iommu.NextMiss());

        Assert.Equal(0UL, Iommu.Map(page, GuestIommu.PageBytes, user, Read));
        Iommu.AnswerMiss(0);
        Iommu.AssertSilent();
        Assert.Equal(0UL, Iommu.Map(page, GuestIommu.PageBytes, user, ReadWrite));
        Iommu.AnswerMiss(0);

        Other.WaitUsed(1);
        Assert.Equal(1u, Other.UsedAt(0).Length);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_the_IOMMU_does_not_allow_is_not_done_and_the_next_request_is_served(bool isReadOnly)
    {
        StartMapped();
        Iommu.Invalidate(Ring.Buffer, GuestIommu.PageBytes);
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Assert.Equal((Ring.Buffer, Write), Iommu.NextMiss());

        if (isReadOnly)
            Assert.Equal(0UL, Iommu.Map(Ring.Buffer, GuestIommu.PageBytes, ToUser(Ring.Buffer), Read));
        Iommu.AnswerMiss(isReadOnly ? 0UL : 1);

        Ring.WaitUsed(1);
        Assert.Equal((0u, (byte)0), (Ring.UsedAt(0).Length, Ring.BufferBytes(0, 1)[0]));
        Assert.Equal((Ring.Buffer, Write), Iommu.NextAccessFailure());
        Served.Log.WaitFor($"the IOMMU lets nobody write the buffer at I/O address 0x{Ring.Buffer:x}");

        // An IOMMU may allow later what it did not allow before.
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Iommu.Answer(ToUser);
        Ring.WaitUsed(2);
        Assert.Equal(1u, Ring.UsedAt(1).Length);
    }

    [Fact]
    public void A_ring_whose_translation_is_refused_does_not_run_and_another_may()
    {
        Iommu = GuestIommu.Start(FrontEnd, Ram, Ring);
        Iommu.NextMiss();

        Iommu.AnswerMiss(1);

        Served.Log.WaitFor($"ring 0 cannot run: I/O address 0x{Io:x} of the ring has no translation for Read");
        Assert.True(Readiness.WaitReadable(Ring.Error.Descriptor, Patience.Limit));
        Iommu.NextAccessFailure();
        MapRing(Other);
        FrontEnd.StartRing(Other);
        Assert.Equal(1u, Other.Serve());
    }

    [Fact]
    public void A_ring_that_is_refused_again_signals_no_second_time()
    {
        Iommu = GuestIommu.Start(FrontEnd, Ram, Ring);
        RefuseRing();
        Assert.True(Ring.Error.TryDrain(out _));

        Assert.Equal(0UL, Iommu.Map(2 * Io, GuestIommu.PageBytes, ToUser(Io), Read)); // perhaps it can run now
        RefuseRing();
        Assert.False(Ring.Error.TryDrain(out _));

        FrontEnd.StopRing(Ring);
        FrontEnd.StartRing(Ring);
        RefuseRing();
        Assert.True(Ring.Error.TryDrain(out _));

        void RefuseRing()
        {
            Iommu.NextMiss();
            Iommu.AnswerMiss(1);
            Iommu.NextAccessFailure();
            FrontEnd.Barrier();
        }
    }
}
