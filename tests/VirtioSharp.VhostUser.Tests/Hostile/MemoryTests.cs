using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Memory that is not what the front-end says.</summary>
public sealed class MemoryTests : HostileTest
{
    private const ulong Guest = GuestRam.DefaultGuestAddress, User = GuestRam.DefaultUserAddress;

    [Theory]
    [InlineData(0x1001, 0, "the range of 4097 bytes at 0 is not within the file's 4096 bytes")]
    [InlineData(0x1000, 1, "the range of 4096 bytes at 1 is not within the file's 4096 bytes")]
    [InlineData(0x1000, 0x1000, "is not within the file's 4096 bytes")]
    [InlineData(0x2000, ulong.MaxValue - 0xFFF, "is not within the file's 4096 bytes")]
    [InlineData(ulong.MaxValue / 2, 0, "is not within the file's 4096 bytes")]
    public void A_region_beyond_the_file_s_end_is_refused(ulong size, ulong offset, string reason) =>
        AssertRegionRefused(new Wire.Region(Guest, size, User, offset), "memfd", $"memory region at 0x40000000, size = 0x{size:x}, mmap offset = 0x{offset:x}", reason);

    [Theory]
    [InlineData(0, Guest, User)]
    [InlineData(0x2000, ulong.MaxValue - 0xFFF, User)]
    [InlineData(0x2000, Guest, ulong.MaxValue - 0xFFF)]
    [InlineData(ulong.MaxValue, Guest, User)]
    public void A_region_that_is_empty_or_wraps_is_refused(ulong size, ulong guest, ulong user) =>
        AssertRegionRefused(new Wire.Region(guest, size, user, 0), "memfd", $"memory region at 0x{guest:x}: size = 0x{size:x} is empty or wraps");

    [Theory]
    [InlineData("pipe", "EACCES")]
    [InlineData("eventfd", "ENODEV")]
    [InlineData("/dev/null", "ENODEV")]
    public void A_region_of_something_without_memory_is_refused(string kind, string errno) =>
        AssertRegionRefused(new Wire.Region(Guest, 0x1000, User, 0), kind, "memory region at 0x40000000, size = 0x1000", errno);

    [Fact]
    public void A_region_whose_end_wraps_in_a_file_without_a_size_is_refused() =>
        AssertRegionRefused(new Wire.Region(Guest, 0x2000, User, ulong.MaxValue - 0xFFF), "/dev/zero", "mmap offset = 0xfffffffffffff000", "beyond any file");

    [Fact]
    public void A_region_without_its_descriptor_is_refused() => AssertRefused("ADD_MEM_REG came without its file descriptor", frontEnd =>
    {
        frontEnd.Negotiate();
        frontEnd.Send(FrontEndRequest.AddMemReg, Wire.OneRegion(new Wire.Region(Guest, 0x1000, User, 0)));
    });

    [Theory]
    [InlineData(Guest)]
    [InlineData(Guest - 0xFFF)]
    [InlineData(Guest + 0xFFFFF)]
    public void A_region_that_overlaps_another_is_refused_and_the_ring_runs_until_then(ulong guest) =>
        AssertRefused(["the memory region at 0x", " overlaps the one at 0x"], frontEnd =>
        {
            using var ram = new GuestRam();
            using var ring = new GuestRing(ram);
            using FileDescriptor file = Descriptors.Of("memfd");
            frontEnd.Start(ram, ring);
            ring.AssertServes();
            Assert.Equal(1UL, frontEnd.Acknowledged(FrontEndRequest.AddMemReg, Wire.OneRegion(new Wire.Region(guest, 0x1000, 1UL << 40, 0)), file));
        });

    [Fact]
    public void Regions_of_a_table_that_overlap_are_refused() =>
        AssertTableRefused(["the memory region at 0x40000fff overlaps the one at 0x40000000"], Wire.Table(2, new(Guest, 0x1000, User, 0), new(Guest + 0xFFF, 0x1000, 1UL << 40, 0)), fds: 2);

    [Fact]
    public void A_table_that_announces_more_regions_than_it_has_is_refused() =>
        AssertTableRefused(["SET_MEM_TABLE: 2 regions are announced, 1 fit into the message"], Wire.Table(2, new Wire.Region(Guest, 0x1000, User, 0)), fds: 2);

    [Fact]
    public void A_table_that_announces_four_billion_regions_is_refused() =>
        AssertTableRefused(["SET_MEM_TABLE: 4294967295 regions are announced, 8 fit"], Wire.Table(uint.MaxValue, Enumerable.Repeat(new Wire.Region(Guest, 0x1000, User, 0), 8)), fds: 8);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void A_table_with_another_number_of_descriptors_is_refused(int fds) =>
        AssertTableRefused([$"SET_MEM_TABLE: 2 regions came with {fds} file descriptors"], Wire.Table(2, new(Guest, 0x1000, User, 0), new(Guest * 2, 0x1000, User * 2, 0)), fds);

    [Fact]
    public void A_table_whose_last_region_is_wrong_is_refused_and_the_others_are_unmapped() =>
        AssertTableRefused(["memory region at 0x50000000, size = 0x2000", "not within the file's 4096 bytes"], Wire.Table(2, new(Guest, 0x1000, User, 0), new(0x5000_0000, 0x2000, User * 2, 0)), fds: 2);

    [Theory]
    [InlineData(Guest + 0x1000, 0x100000, User)]
    [InlineData(Guest, 0x1000, User)]
    [InlineData(Guest, 0x100000, User + 0x1000)]
    public void A_region_that_is_not_there_cannot_be_removed(ulong guest, ulong size, ulong user) =>
        AssertRefused($"memory region at 0x{guest:x}, size = 0x{size:x}, user address = 0x{user:x} is not mapped", frontEnd =>
        {
            using var ram = new GuestRam();
            frontEnd.Negotiate();
            frontEnd.AddMemory(ram);
            frontEnd.Send(FrontEndRequest.RemMemReg, Wire.OneRegion(new Wire.Region(guest, size, user, 0)));
        });

    [Fact]
    public void The_same_descriptor_may_back_many_regions()
    {
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        using FrontEnd frontEnd = Served.Connect();
        frontEnd.Start(ram, ring);
        frontEnd.Do(FrontEndRequest.AddMemReg, Wire.OneRegion(ram.Region with { GuestAddress = 1UL << 40, UserAddress = 1UL << 41 }), ram.File);
        ring.AssertServes();
    }

    private void AssertRegionRefused(Wire.Region region, string kind, params string[] expected) => AssertRefused(expected, frontEnd =>
    {
        frontEnd.Negotiate();
        using FileDescriptor file = Descriptors.Of(kind);
        Assert.Equal(1UL, frontEnd.Acknowledged(FrontEndRequest.AddMemReg, Wire.OneRegion(region), file));
    });

    private void AssertTableRefused(string[] expected, byte[] table, int fds) => AssertRefused(expected, frontEnd =>
    {
        using FileDescriptor file = Descriptors.Of("memfd");
        frontEnd.Send(FrontEndRequest.SetMemTable, table, [.. Enumerable.Repeat(file, fds)]);
        frontEnd.AssertClosed();
        Assert.DoesNotContain("a-memfd", File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
    });
}
