using VirtioSharp.Devices.Block;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>What a device was given a translation of is taken back, and nobody is there any more when that is answered.</summary>
[Proves("ACCESS_PLATFORM (IOTLB)", "vhost-user")]
public sealed class IotlbReleaseTests : IotlbTest
{
    [Fact]
    public void After_a_translation_was_taken_back_it_is_asked_for_again()
    {
        StartMapped();
        Assert.Equal(1u, Ring.Serve());

        Iommu.Invalidate(Ring.Buffer + 5, 1); // a part of it takes all
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Assert.Equal((Ring.Buffer, Write), Iommu.Answer(ToUser));
        Ring.WaitUsed(2);

        Iommu.Invalidate(0, ulong.MaxValue);
        Assert.Equal([(Io, Read), (Io + 0x8000, Read), (Io + 0xA000, ReadWrite)], Answers(3));
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Iommu.Answer(ToUser);
        Ring.WaitUsed(3); // it has gone on where it stood
    }

    [Fact]
    public void A_stopped_ring_is_started_with_translations_that_are_asked_for_anew()
    {
        StartMapped();
        Assert.Equal(1u, Ring.Serve());

        uint at = FrontEnd.StopRing(Ring);
        FrontEnd.StartRing(Ring, (ushort)at);

        Assert.Equal((Io, Read), Iommu.Answer(ToUser));
        Answers(2);
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Iommu.Answer(ToUser);
        Ring.WaitUsed(2);
    }

    [Fact]
    public void A_translation_is_taken_from_a_request_in_flight_only_once_its_device_has_let_go_of_it()
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        Iommu = GuestIommu.Start(frontEnd, Ram, Ring);
        Answers(3);
        Map(Ring.Buffer);
        Map(Ring.Buffer + 4096);
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Assert.True(Patience.Until(() => device.Taken == 1));

        Iommu.Invalidate(Ring.Buffer + 4096, GuestIommu.PageBytes);
        Assert.Equal(0, device.Stops);
        Iommu.Invalidate(Ring.Buffer, GuestIommu.PageBytes);

        Assert.Equal(1, device.Stops);
    }

    [Theory]
    [InlineData(BlockRequestType.In)]
    [InlineData(BlockRequestType.Out)]
    public void A_translation_is_taken_from_a_disk_that_is_at_work_there_only_once_it_is_done(BlockRequestType type)
    {
        var disk = new SlowDisk();
        using var served = new ServedDevice(new BlockDevice(disk));
        using FrontEnd frontEnd = served.Connect();
        Iommu = GuestIommu.Start(frontEnd, Ram, Ring);
        Answers(3);
        ulong data = Ring.Buffer + 4096, status = Ring.Buffer + 2 * 4096;
        foreach (ulong page in new[] { Ring.Buffer, data, status })
            Map(page);
        Ring.BufferBytes(0, 1)[0] = (byte)type;
        Ring.SetDescriptor(0, Ring.Buffer, 16, DescriptorFlags.Next, 1);
        Ring.SetDescriptor(1, data, 512, DescriptorFlags.Next | (type == BlockRequestType.In ? DescriptorFlags.Write : 0), 2);
        Ring.SetDescriptor(2, status, 1, DescriptorFlags.Write);
        Ring.Offer(0);
        Ring.Kick.Signal();
        Assert.True(Patience.Until(() => disk.Asked == 1));

        Iommu.Invalidate(data, GuestIommu.PageBytes);

        Assert.Equal((1, 1), (disk.Finishes, Ring.UsedIndex));
        Assert.Equal(type == BlockRequestType.In ? 512 : 0, Ring.BufferBytes(4096, 512).Count((byte)1));
    }

    [Fact]
    public void A_request_keeps_its_own_translation_of_a_page_and_not_those_of_others()
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        Iommu = GuestIommu.Start(frontEnd, Ram, Ring);
        Answers(3);
        ulong own = 2 * Io, others = 3 * Io;
        foreach (ulong page in new[] { own, others })
            Assert.Equal(0UL, Iommu.Map(page, GuestIommu.PageBytes, ToUser(Ring.Buffer), ReadWrite));
        Ring.SetDescriptor(0, own, 64, DescriptorFlags.Write);
        Ring.Offer(0);
        Ring.Kick.Signal();
        Assert.True(Patience.Until(() => device.Taken == 1));

        Iommu.Invalidate(others, GuestIommu.PageBytes);
        Assert.Equal(0, device.Stops);
        Iommu.Invalidate(own, GuestIommu.PageBytes);

        Assert.Equal(1, device.Stops);
    }

    [Fact]
    public void A_region_that_is_removed_takes_its_translations_along()
    {
        using var more = new GuestRam(guestAddress: 1UL << 40, userAddress: 1UL << 40);
        StartMapped();
        FrontEnd.AddMemory(more);
        Assert.Equal(1u, Ring.Serve());

        FrontEnd.RemoveMemory(Ram);
        FrontEnd.AddMemory(Ram);

        Answers(3);
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Iommu.Answer(ToUser);
        Ring.WaitUsed(2);
    }

    [Fact]
    public void A_page_that_moves_is_found_where_it_is_now()
    {
        StartMapped();
        ulong moved = Ring.Buffer + 5 * 4096;
        Assert.Equal(0UL, Iommu.Map(Ring.Buffer, GuestIommu.PageBytes, ToUser(moved), ReadWrite));

        Assert.Equal(1u, Ring.Serve());

        Assert.Equal((byte)0, Ring.BufferBytes(0, 1)[0]);
        Assert.Equal((byte)'m', Ring.BufferBytes(5 * 4096, 1)[0]);
    }
}
