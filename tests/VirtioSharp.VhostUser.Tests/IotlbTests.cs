using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>Behind an IOMMU the device sees what it was given a translation of, and asks for what it lacks.</summary>
[Proves("ACCESS_PLATFORM (IOTLB)", "vhost-user")]
public sealed class IotlbTests : IotlbTest
{
    [Fact]
    public void Each_part_of_a_ring_and_each_buffer_is_asked_for_once_and_for_no_more_than_is_done_there()
    {
        Iommu = GuestIommu.Start(FrontEnd, Ram, Ring);
        Assert.Equal([(Io, Read), (Io + 0x8000, Read), (Io + 0xA000, ReadWrite)], Answers(3));
        Ring.SetDescriptor(0, Ring.IndirectTable, 16, DescriptorFlags.Indirect);
        Ring.SetIndirect(0, Ring.Buffer, 64, DescriptorFlags.Write);
        Ring.Offer(0);
        Ring.Kick.Signal();
        Assert.Equal((Ring.IndirectTable, Read), Iommu.NextMiss());

        Ring.Kick.Signal(); // a driver that is impatient
        Iommu.AssertSilent();
        Map(Ring.IndirectTable & ~0xFFFUL);
        Iommu.AnswerMiss(0);
        Assert.Equal((Ring.Buffer, Write), Iommu.Answer(ToUser));

        Ring.WaitUsed(1);
        Assert.Equal((1u, (byte)'m'), (Ring.UsedAt(0).Length, Ring.BufferBytes(0, 1)[0]));
        Iommu.AssertSilent();
        FrontEnd.Dispose();
        SessionReport report = Served.NextReport();
        Assert.Equal((5, null), (report.IotlbMisses, report.Ended));
        Assert.Empty(report.Faults);
    }

    [Fact]
    public void A_ring_that_waits_keeps_neither_the_others_nor_the_socket_waiting_and_says_so_after_a_while()
    {
        StartMapped();
        MapRing(Other);
        FrontEnd.StartRing(Other);
        Iommu.Invalidate(Ring.Buffer, GuestIommu.PageBytes);
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Iommu.NextMiss();

        Assert.Equal(1u, Other.Serve());
        Served.Log.WaitFor($"ring 0 waits: I/O address 0x{Ring.Buffer:x} has no translation for Write, and the front-end has not given one");
        Assert.Equal(1u, Other.Serve());
        Assert.Equal(0, Ring.UsedIndex);

        Map(Ring.Buffer);
        Ring.WaitUsed(1);
    }

    [Fact]
    public void A_ring_that_misses_the_page_that_another_waits_for_asks_no_second_time()
    {
        StartMapped();
        MapRing(Other);
        FrontEnd.StartRing(Other);
        Iommu.Invalidate(Ring.Buffer, GuestIommu.PageBytes);
        Ring.OfferBuffer();
        Ring.Kick.Signal();
        Iommu.NextMiss();
        Other.SetDescriptor(0, Ring.Buffer + 128, 64, DescriptorFlags.Write);
        Other.Offer(0);
        Other.Kick.Signal();
        Iommu.AssertSilent();

        Map(Ring.Buffer);

        Ring.WaitUsed(1);
        Other.WaitUsed(1);
    }

    [Fact]
    public void A_buffer_over_pages_that_lie_apart_is_written_in_all_of_them()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        Iommu = GuestIommu.Start(frontEnd, Ram, Ring);
        Answers(3);
        Ring.SetDescriptor(0, Ring.Buffer + 100, 3 * 4096, DescriptorFlags.Write);
        Ring.Offer(0);
        Ring.Kick.Signal();

        // Back to front, so that no page is followed by its neighbour.
        ulong first = Ring.Buffer - Io, last = first + 3 * 4096;
        ulong[] missed = [.. Enumerable.Range(0, 4).Select(_ => Iommu.Answer(page => Ram.Region.UserAddress + last - (page - Io - first)).Address)];

        Ring.WaitUsed(1);
        Assert.Equal([Ring.Buffer + 100, .. Enumerable.Range(1, 3).Select(page => Ring.Buffer + (ulong)page * 4096)], missed);
        Assert.Equal(3u * 4096, Ring.UsedAt(0).Length);
        Span<byte> memory = Ram.Bytes(first, 4 * 4096);
        AssertFilled(memory[(3 * 4096 + 100)..]); // the first page of the buffer, from its 100th byte on
        AssertFilled(memory[4096..(3 * 4096)]);
        AssertFilled(memory[..100]);
        Assert.Equal(-1, memory[100..4096].IndexOfAnyExcept((byte)0));
        Assert.Equal(-1, memory.Slice(3 * 4096, 100).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    [Proves("Dirty log", "vhost-user")]
    public void A_ring_over_pages_that_lie_apart_runs_as_one_and_is_logged_in_all_of_them()
    {
        // Three regions of one file, so that here the memory is in one piece and the daemon's is not: the descriptors and the used ring are cut.
        using var served = new ServedDevice(); // has longer queues
        using FrontEnd frontEnd = served.Connect();
        using var ring = new GuestRing(Ram, size: 1024) { IoAddress = Io, UsedLog = Io };
        (ulong From, ulong To, ulong Moved)[] cuts = [(0, 0x1000, 0), (0x1000, 0xB000, 1UL << 30), (0xB000, Ram.Region.Size, 1UL << 31)];
        const int logBytes = 1 << 18;
        using FileDescriptor file = MemFd.Create("test log", logBytes);
        using MappedRegion log = MappedRegion.Map(file, 0, logBytes);
        frontEnd.Negotiate();
        Iommu = new GuestIommu(frontEnd);
        frontEnd.SetFeatures(GuestIommu.Features);
        foreach ((ulong from, ulong to, ulong moved) in cuts)
            frontEnd.Do(FrontEndRequest.AddMemReg, Wire.OneRegion(new(Ram.Start + from + moved, to - from, Ram.Region.UserAddress + from + moved, from)), Ram.File);
        frontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(logBytes, 0), file);
        frontEnd.Reply(FrontEndRequest.SetLogBase);
        foreach ((ulong from, ulong to, ulong moved) in cuts)
            Assert.Equal(0UL, Iommu.Map(Io + from, to - from, Ram.Region.UserAddress + from + moved, ReadWrite));
        frontEnd.StartRing(ring);
        frontEnd.SetFeatures(GuestIommu.Features | Wire.LogAll);

        for (int i = 0; i < 1100; i++)
        {
            ring.SetDescriptor(i % 1024, ring.Buffer, 64, DescriptorFlags.Write);
            ring.Offer((ushort)(i % 1024));
            ring.Kick.Signal();
            ring.WaitUsed((ushort)(i + 1));
            Assert.Equal((uint)(i % 1024), ring.UsedAt((ushort)i).Id);
        }

        frontEnd.Barrier();
        foreach (ulong offset in new ulong[] { 0xA000 + (1UL << 30), 0xB000 + (1UL << 31), 0xC000 + (1UL << 31), 0x10000 + (1UL << 31) })
            Assert.True((log.Slice(Ram.Start + offset >> 15, 1)[0] & 1 << (int)(Ram.Start + offset >> 12 & 7)) != 0, $"0x{offset:x} is not logged");
        Iommu.Invalidate(Io, 0x1000);
        Assert.Equal((Io, Read), Iommu.Answer(ToUser));
        ring.OfferBuffer();
        ring.Kick.Signal();
        ring.WaitUsed(1101);
    }

    [Fact]
    public void What_could_not_be_asked_for_is_asked_for_when_there_is_somebody_to_ask()
    {
        FrontEnd.Negotiate();
        FrontEnd.SetFeatures(GuestIommu.Features);
        FrontEnd.AddMemory(Ram);
        FrontEnd.StartRing(Ring);

        Iommu = new GuestIommu(FrontEnd);

        Assert.Equal([(Io, Read), (Io + 0x8000, Read), (Io + 0xA000, ReadWrite)], Answers(3));
    }

    [Fact]
    [Proves("Dirty log", "vhost-user")]
    public void Pages_are_logged_by_their_guest_physical_address()
    {
        const int logBytes = 0x9000;
        using FileDescriptor file = MemFd.Create("test log", logBytes);
        using MappedRegion log = MappedRegion.Map(file, 0, logBytes);
        Ring.UsedLog = Io + 0xA000; // as QEMU says it: an I/O address, too, beyond the log
        StartMapped();
        FrontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(logBytes, 0), file);
        FrontEnd.Reply(FrontEndRequest.SetLogBase);
        FrontEnd.SetFeatures(GuestIommu.Features | Wire.LogAll);

        Assert.Equal(1u, Ring.Serve());
        FrontEnd.Barrier();

        ulong[] written = [Ram.Start + 0xA000, Ram.Start + 0x10000];
        foreach (ulong address in written)
            Assert.True((log.Slice(address >> 15, 1)[0] & 1 << (int)(address >> 12 & 7)) != 0, $"0x{address:x} is not logged");
        Assert.Equal(2, log.Slice(0, logBytes).ToArray().Sum(bits => int.PopCount(bits)));
    }

    private static void AssertFilled(ReadOnlySpan<byte> bytes) => Assert.InRange(bytes.Count((byte)0), 0, bytes.Length / 16);
}
