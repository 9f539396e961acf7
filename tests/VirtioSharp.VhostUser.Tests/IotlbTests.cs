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
public sealed class IotlbTests : IDisposable
{
    private const ulong Io = 0x20_0000_0000;
    private const byte Read = GuestIommu.Read, Write = GuestIommu.Write, ReadWrite = GuestIommu.ReadWrite;

    private readonly MoodyDevice _device = new();
    private readonly ServedDevice _served;
    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring, _other;
    private readonly FrontEnd _frontEnd;
    private GuestIommu? _iommu;

    public IotlbTests()
    {
        _served = new ServedDevice(_device);
        _ring = new GuestRing(_ram) { IoAddress = Io };
        _other = new GuestRing(_ram, GuestRing.Extent, index: 1) { IoAddress = Io + GuestRing.Extent };
        _frontEnd = _served.Connect();
    }

    private GuestIommu Iommu => _iommu ?? throw new InvalidOperationException("not started");

    public void Dispose()
    {
        _iommu?.Dispose();
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _other.Dispose();
        _ram.Dispose();
    }

    [Fact]
    public void Each_part_of_a_ring_and_each_buffer_is_asked_for_once_and_for_no_more_than_is_done_there()
    {
        _iommu = GuestIommu.Start(_frontEnd, _ram, _ring);
        Assert.Equal([(Io, Read), (Io + 0x8000, Read), (Io + 0xA000, ReadWrite)], Answers(3));
        _ring.SetDescriptor(0, _ring.IndirectTable, 16, DescriptorFlags.Indirect);
        _ring.SetIndirect(0, _ring.Buffer, 64, DescriptorFlags.Write);
        _ring.Offer(0);
        _ring.Kick.Signal();
        Assert.Equal((_ring.IndirectTable, Read), Iommu.NextMiss());

        _ring.Kick.Signal(); // a driver that is impatient
        Iommu.AssertSilent();
        Map(_ring.IndirectTable & ~0xFFFUL);
        Iommu.AnswerMiss(0);
        Assert.Equal((_ring.Buffer, Write), Iommu.Answer(ToUser));

        _ring.WaitUsed(1);
        Assert.Equal((1u, (byte)'m'), (_ring.UsedAt(0).Length, _ring.BufferBytes(0, 1)[0]));
        Iommu.AssertSilent();
        _frontEnd.Dispose();
        SessionReport report = _served.NextReport();
        Assert.Equal((5, null), (report.IotlbMisses, report.Ended));
        Assert.Empty(report.Faults);
    }

    [Fact]
    public void A_ring_that_waits_keeps_neither_the_others_nor_the_socket_waiting_and_says_so_after_a_while()
    {
        StartMapped();
        MapRing(_other);
        _frontEnd.StartRing(_other);
        Iommu.Invalidate(_ring.Buffer, GuestIommu.PageBytes);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Iommu.NextMiss();

        Assert.Equal(1u, _other.Serve());
        _served.Log.WaitFor($"ring 0 waits: I/O address 0x{_ring.Buffer:x} has no translation for Write, and the front-end has not given one");
        Assert.Equal(1u, _other.Serve());
        Assert.Equal(0, _ring.UsedIndex);

        Map(_ring.Buffer);
        _ring.WaitUsed(1);
    }

    [Fact]
    public void A_ring_that_misses_the_page_that_another_waits_for_asks_no_second_time()
    {
        StartMapped();
        MapRing(_other);
        _frontEnd.StartRing(_other);
        Iommu.Invalidate(_ring.Buffer, GuestIommu.PageBytes);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Iommu.NextMiss();
        _other.SetDescriptor(0, _ring.Buffer + 128, 64, DescriptorFlags.Write);
        _other.Offer(0);
        _other.Kick.Signal();
        Iommu.AssertSilent();

        Map(_ring.Buffer);

        _ring.WaitUsed(1);
        _other.WaitUsed(1);
    }

    [Fact]
    public void A_buffer_over_pages_that_lie_apart_is_written_in_all_of_them()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        _iommu = GuestIommu.Start(frontEnd, _ram, _ring);
        Answers(3);
        _ring.SetDescriptor(0, _ring.Buffer + 100, 3 * 4096, DescriptorFlags.Write);
        _ring.Offer(0);
        _ring.Kick.Signal();

        // Back to front, so that no page is followed by its neighbour.
        ulong first = _ring.Buffer - Io, last = first + 3 * 4096;
        ulong[] missed = [.. Enumerable.Range(0, 4).Select(_ => Iommu.Answer(page => _ram.Region.UserAddress + last - (page - Io - first)).Address)];

        _ring.WaitUsed(1);
        Assert.Equal([_ring.Buffer + 100, .. Enumerable.Range(1, 3).Select(page => _ring.Buffer + (ulong)page * 4096)], missed);
        Assert.Equal(3u * 4096, _ring.UsedAt(0).Length);
        Span<byte> memory = _ram.Bytes(first, 4 * 4096);
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
        using var ring = new GuestRing(_ram, size: 1024) { IoAddress = Io, UsedLog = Io };
        (ulong From, ulong To, ulong Moved)[] cuts = [(0, 0x1000, 0), (0x1000, 0xB000, 1UL << 30), (0xB000, _ram.Region.Size, 1UL << 31)];
        const int logBytes = 1 << 18;
        using FileDescriptor file = MemFd.Create("test log", logBytes);
        using MappedRegion log = MappedRegion.Map(file, 0, logBytes);
        frontEnd.Negotiate();
        _iommu = new GuestIommu(frontEnd);
        frontEnd.SetFeatures(GuestIommu.Features);
        foreach ((ulong from, ulong to, ulong moved) in cuts)
            frontEnd.Do(FrontEndRequest.AddMemReg, Wire.OneRegion(new(_ram.Start + from + moved, to - from, _ram.Region.UserAddress + from + moved, from)), _ram.File);
        frontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(logBytes, 0), file);
        frontEnd.Reply(FrontEndRequest.SetLogBase);
        foreach ((ulong from, ulong to, ulong moved) in cuts)
            Assert.Equal(0UL, Iommu.Map(Io + from, to - from, _ram.Region.UserAddress + from + moved, ReadWrite));
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
            Assert.True((log.Slice(_ram.Start + offset >> 15, 1)[0] & 1 << (int)(_ram.Start + offset >> 12 & 7)) != 0, $"0x{offset:x} is not logged");
        Iommu.Invalidate(Io, 0x1000);
        Assert.Equal((Io, Read), Iommu.Answer(ToUser));
        ring.OfferBuffer();
        ring.Kick.Signal();
        ring.WaitUsed(1101);
    }

    [Fact]
    public void A_ring_that_lies_apart_and_is_never_given_whole_leaves_no_mappings_behind()
    {
        _frontEnd.Negotiate();
        _iommu = new GuestIommu(_frontEnd);
        _frontEnd.SetFeatures(GuestIommu.Features);
        _frontEnd.AddMemory(_ram);
        Assert.Equal(0UL, Iommu.Map(Io, 4096, ToUser(Io + 4096), Read));
        Assert.Equal(0UL, Iommu.Map(Io + 4096, 4096, ToUser(Io), Read));
        _ring.IoAddress = Io + 2048;
        _frontEnd.StartRing(_ring);
        int before = Mappings();

        for (ulong i = 1; i <= 50; i++)
            Assert.Equal(0UL, Iommu.Map(2 * Io + i * 4096, 4096, ToUser(Io), Read));

        Assert.InRange(Mappings(), 1, before + 25); // other tests have mappings of their own meanwhile

        static int Mappings() => File.ReadLines("/proc/self/maps").Count(line => line.Contains(GuestRam.FileName, StringComparison.Ordinal));
    }

    [Fact]
    public void After_a_translation_was_taken_back_it_is_asked_for_again()
    {
        StartMapped();
        Assert.Equal(1u, _ring.Serve());

        Iommu.Invalidate(_ring.Buffer + 5, 1); // a part of it takes all
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Assert.Equal((_ring.Buffer, Write), Iommu.Answer(ToUser));
        _ring.WaitUsed(2);

        Iommu.Invalidate(0, ulong.MaxValue);
        Assert.Equal([(Io, Read), (Io + 0x8000, Read), (Io + 0xA000, ReadWrite)], Answers(3));
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Iommu.Answer(ToUser);
        _ring.WaitUsed(3); // it has gone on where it stood
    }

    [Fact]
    public void A_stopped_ring_is_started_with_translations_that_are_asked_for_anew()
    {
        StartMapped();
        Assert.Equal(1u, _ring.Serve());

        uint at = _frontEnd.StopRing(_ring);
        _frontEnd.StartRing(_ring, (ushort)at);

        Assert.Equal((Io, Read), Iommu.Answer(ToUser));
        Answers(2);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Iommu.Answer(ToUser);
        _ring.WaitUsed(2);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_the_IOMMU_does_not_allow_is_not_done_and_the_next_request_is_served(bool isReadOnly)
    {
        StartMapped();
        Iommu.Invalidate(_ring.Buffer, GuestIommu.PageBytes);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Assert.Equal((_ring.Buffer, Write), Iommu.NextMiss());

        if (isReadOnly)
            Assert.Equal(0UL, Iommu.Map(_ring.Buffer, GuestIommu.PageBytes, ToUser(_ring.Buffer), Read));
        Iommu.AnswerMiss(isReadOnly ? 0UL : 1);

        _ring.WaitUsed(1);
        Assert.Equal((0u, (byte)0), (_ring.UsedAt(0).Length, _ring.BufferBytes(0, 1)[0]));
        Assert.Equal((_ring.Buffer, Write), Iommu.NextAccessFailure());
        _served.Log.WaitFor($"the IOMMU lets nobody write the buffer at I/O address 0x{_ring.Buffer:x}");

        // An IOMMU may allow later what it did not allow before.
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Iommu.Answer(ToUser);
        _ring.WaitUsed(2);
        Assert.Equal(1u, _ring.UsedAt(1).Length);
    }

    [Fact]
    public void A_ring_whose_translation_is_refused_does_not_run_and_another_may()
    {
        _iommu = GuestIommu.Start(_frontEnd, _ram, _ring);
        Iommu.NextMiss();

        Iommu.AnswerMiss(1);

        _served.Log.WaitFor($"ring 0 cannot run: I/O address 0x{Io:x} of the ring has no translation for Read");
        Assert.True(Readiness.WaitReadable(_ring.Error.Descriptor, Patience.Limit));
        Iommu.NextAccessFailure();
        MapRing(_other);
        _frontEnd.StartRing(_other);
        Assert.Equal(1u, _other.Serve());
    }

    [Fact]
    public void A_translation_is_taken_from_a_request_in_flight_only_once_its_device_has_let_go_of_it()
    {
        var device = new KeepingDevice();
        using var served = new ServedDevice(device);
        using FrontEnd frontEnd = served.Connect();
        _iommu = GuestIommu.Start(frontEnd, _ram, _ring);
        Answers(3);
        Map(_ring.Buffer);
        Map(_ring.Buffer + 4096);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Assert.True(Patience.Until(() => device.Taken == 1));

        Iommu.Invalidate(_ring.Buffer + 4096, GuestIommu.PageBytes);
        Assert.Equal(0, device.Stops);
        Iommu.Invalidate(_ring.Buffer, GuestIommu.PageBytes);

        Assert.Equal(1, device.Stops);
    }

    [Fact]
    public void A_region_that_is_removed_takes_its_translations_along()
    {
        using var more = new GuestRam(guestAddress: 1UL << 40, userAddress: 1UL << 40);
        StartMapped();
        _frontEnd.AddMemory(more);
        Assert.Equal(1u, _ring.Serve());

        _frontEnd.RemoveMemory(_ram);
        _frontEnd.AddMemory(_ram);

        Answers(3);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Iommu.Answer(ToUser);
        _ring.WaitUsed(2);
    }

    [Fact]
    public void Translations_without_end_take_the_place_of_the_oldest()
    {
        StartMapped();
        Assert.Equal(1u, _ring.Serve());

        for (ulong i = 0; i <= IotlbMessages.MaxEntries; i++)
            Assert.Equal(0UL, Iommu.Map(2 * Io + i * GuestIommu.PageBytes, GuestIommu.PageBytes, _ram.Region.UserAddress, Read));

        Answers(3);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Iommu.Answer(ToUser);
        _ring.WaitUsed(2);
    }

    [Fact]
    public void A_page_that_moves_is_found_where_it_is_now()
    {
        StartMapped();
        ulong moved = _ring.Buffer + 5 * 4096;
        Assert.Equal(0UL, Iommu.Map(_ring.Buffer, GuestIommu.PageBytes, ToUser(moved), ReadWrite));

        Assert.Equal(1u, _ring.Serve());

        Assert.Equal((byte)0, _ring.BufferBytes(0, 1)[0]);
        Assert.Equal((byte)'m', _ring.BufferBytes(5 * 4096, 1)[0]);
    }

    [Fact]
    public void What_could_not_be_asked_for_is_asked_for_when_there_is_somebody_to_ask()
    {
        _frontEnd.Negotiate();
        _frontEnd.SetFeatures(GuestIommu.Features);
        _frontEnd.AddMemory(_ram);
        _frontEnd.StartRing(_ring);

        _iommu = new GuestIommu(_frontEnd);

        Assert.Equal([(Io, Read), (Io + 0x8000, Read), (Io + 0xA000, ReadWrite)], Answers(3));
    }

    [Fact]
    [Proves("Dirty log", "vhost-user")]
    public void Pages_are_logged_by_their_guest_physical_address()
    {
        const int logBytes = 0x9000;
        using FileDescriptor file = MemFd.Create("test log", logBytes);
        using MappedRegion log = MappedRegion.Map(file, 0, logBytes);
        _ring.UsedLog = Io + 0xA000; // as QEMU says it: an I/O address, too, beyond the log
        StartMapped();
        _frontEnd.Send(FrontEndRequest.SetLogBase, Wire.Log(logBytes, 0), file);
        _frontEnd.Reply(FrontEndRequest.SetLogBase);
        _frontEnd.SetFeatures(GuestIommu.Features | Wire.LogAll);

        Assert.Equal(1u, _ring.Serve());
        _frontEnd.Barrier();

        ulong[] written = [_ram.Start + 0xA000, _ram.Start + 0x10000];
        foreach (ulong address in written)
            Assert.True((log.Slice(address >> 15, 1)[0] & 1 << (int)(address >> 12 & 7)) != 0, $"0x{address:x} is not logged");
        Assert.Equal(2, log.Slice(0, logBytes).ToArray().Sum(bits => int.PopCount(bits)));
    }

    /// <summary>Starts with the ring and a page of its buffers mapped.</summary>
    private void StartMapped()
    {
        _iommu = GuestIommu.Start(_frontEnd, _ram, _ring);
        Answers(3);
        Map(_ring.Buffer);
    }

    /// <summary>Gives a ring, and its first page of buffers, before it is missed.</summary>
    private void MapRing(GuestRing ring) => Assert.Equal(0UL, Iommu.Map(ring.IoAddress!.Value, GuestRing.Extent, ToUser(ring.IoAddress.Value), ReadWrite));

    private void Map(ulong page) => Assert.Equal(0UL, Iommu.Map(page, GuestIommu.PageBytes, ToUser(page), ReadWrite));

    private (ulong, byte)[] Answers(int count) => [.. Enumerable.Range(0, count).Select(_ => Iommu.Answer(ToUser))];

    private ulong ToUser(ulong io) => io - Io + _ram.Region.UserAddress;

    private static void AssertFilled(ReadOnlySpan<byte> bytes) => Assert.InRange(bytes.Count((byte)0), 0, bytes.Length / 16);
}
