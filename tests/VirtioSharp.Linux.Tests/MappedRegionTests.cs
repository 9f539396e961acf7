using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Tests;

public sealed class MappedRegionTests
{
    private static readonly ulong Page = (ulong)Environment.SystemPageSize;

    [Fact]
    public void Two_mappings_of_one_file_share_its_bytes()
    {
        using FileDescriptor file = MemFd.Create("ram", 4 * (long)Page);
        using MappedRegion here = MappedRegion.Map(file, 0, 4 * Page);
        using MappedRegion there = MappedRegion.Map(file, 0, 4 * Page);

        here.Slice(100, 3)[1] = 7;

        Assert.Equal([0, 7, 0], there.Slice(100, 3).ToArray());
    }

    [Fact]
    public void A_mapping_may_start_and_end_anywhere_in_the_file()
    {
        using FileDescriptor file = MemFd.Create("ram", 4 * (long)Page);
        using MappedRegion whole = MappedRegion.Map(file, 0, 4 * Page);
        whole.Slice(Page + 5, 1)[0] = 0x55;
        whole.Slice((2 * Page) + 7, 1)[0] = 0x77;

        using MappedRegion part = MappedRegion.Map(file, Page + 5, Page + 3);

        Assert.Equal(Page + 3, part.Length);
        Assert.Equal(5, part.Address % (nint)Page);
        Assert.Equal(0x55, part.Slice(0, 1)[0]);
        Assert.Equal(0x77, part.Slice(Page + 2, 1)[0]);
    }

    [Fact]
    public void A_mapping_outlives_its_descriptor()
    {
        FileDescriptor file = MemFd.Create("ram", (long)Page);
        using MappedRegion region = MappedRegion.Map(file, 0, Page);

        file.Dispose();

        region.Slice(0, 1)[0] = 1;
        Assert.Equal(1, region.Slice(0, 1)[0]);
    }

    [Theory]
    [InlineData(0, 4097)]
    [InlineData(4096, 1)]
    [InlineData(1, 4096)]
    [InlineData(ulong.MaxValue, 2)]
    [InlineData(2, ulong.MaxValue)]
    public void A_range_that_the_file_does_not_have_is_refused(ulong offset, ulong length)
    {
        using FileDescriptor file = MemFd.Create("ram", 4096);

        LinuxException failure = Assert.Throws<LinuxException>(() => MappedRegion.Map(file, offset, length));

        Assert.Equal(Errno.ENXIO, failure.Errno);
    }

    [Theory]
    [InlineData(ulong.MaxValue, 2)]
    [InlineData(2, ulong.MaxValue)]
    [InlineData(long.MaxValue, long.MaxValue)]
    public void A_range_that_wraps_is_refused_where_no_size_bounds_it(ulong offset, ulong length)
    {
        using FileDescriptor zero = Open("/dev/zero");

        LinuxException failure = Assert.Throws<LinuxException>(() => MappedRegion.Map(zero, offset, length));

        Assert.Equal(Errno.ENXIO, failure.Errno);
    }

    [Fact]
    public void An_empty_range_is_refused()
    {
        using FileDescriptor file = MemFd.Create("ram", 4096);

        LinuxException failure = Assert.Throws<LinuxException>(() => MappedRegion.Map(file, 0, 0));

        Assert.Equal(Errno.EINVAL, failure.Errno);
    }

    [Fact]
    public void What_has_no_memory_cannot_be_mapped()
    {
        using EventFd counter = EventFd.Create();

        LinuxException failure = Assert.Throws<LinuxException>(() => MappedRegion.Map(counter.Descriptor, 0, Page));

        Assert.Equal(Errno.ENODEV, failure.Errno);
    }

    [Fact]
    public void Anonymous_memory_is_zero_and_writable()
    {
        using MappedRegion region = MappedRegion.Anonymous(3);

        Assert.Equal([0, 0, 0], region.Slice(0, 3).ToArray());
        region.Slice(2, 1)[0] = 9;
        Assert.Equal(9, region.Slice(2, 1)[0]);
    }

    [Fact]
    public void A_slice_must_lie_within_the_region()
    {
        using MappedRegion region = MappedRegion.Anonymous(100);

        Assert.Throws<ArgumentOutOfRangeException>(() => region.Slice(100, 1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => region.Slice(ulong.MaxValue, 1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => region.Slice(0, -1).Length);
        Assert.Equal(0, region.Slice(100, 0).Length);
    }

    [Fact]
    public void Disposing_unmaps_once()
    {
        using FileDescriptor file = MemFd.Create("unmapped-by-dispose", (long)Page);
        MappedRegion region = MappedRegion.Map(file, 0, Page);
        Assert.Contains("unmapped-by-dispose", File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);

        region.Dispose();
        region.Dispose();

        Assert.DoesNotContain("unmapped-by-dispose", File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        Assert.Throws<ObjectDisposedException>(() => region.Slice(0, 1).Length);
    }

    private static FileDescriptor Open(string path)
    {
        using Microsoft.Win32.SafeHandles.SafeFileHandle handle =
            File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        using FileDescriptor borrowed = FileDescriptor.Adopt((int)handle.DangerousGetHandle());
        FileDescriptor copy = borrowed.Duplicate();
        borrowed.SetHandleAsInvalid();
        return copy;
    }

    [Fact]
    public void Pieces_that_lie_apart_are_joined_and_stay_the_same_memory()
    {
        const int page = 4096;
        using FileDescriptor file = MemFd.Create("apart", 4 * page);
        using MappedRegion second = MappedRegion.Map(file, 2 * page, 2 * page), first = MappedRegion.Map(file, 0, page);
        using MappedRegion joined = MappedRegion.Join([(first.Address + 100, page - 100), (second.Address, page + 50)]);
        second.Slice(page + 49, 1)[0] = 7;
        joined.Slice(0, 1)[0] = 8;

        Assert.Equal(2 * page - 50UL, joined.Length);
        Assert.Equal((7, 8), (joined.Slice(joined.Length - 1, 1)[0], first.Slice(100, 1)[0]));
        joined.Dispose();
        Assert.Equal(8, first.Slice(100, 1)[0]);
    }

    [Fact]
    public void Pieces_that_do_not_meet_at_a_page_are_not_joined()
    {
        using FileDescriptor file = MemFd.Create("apart", 4 * 4096);
        using MappedRegion region = MappedRegion.Map(file, 0, 4 * 4096);

        Assert.Equal(Errno.EINVAL, Assert.Throws<LinuxException>(() => MappedRegion.Join([(region.Address, 100), (region.Address + 4096, 4096)])).Errno);
        Assert.Equal(Errno.EINVAL, Assert.Throws<LinuxException>(() => MappedRegion.Join([(region.Address, 4096), (region.Address + 100, 4096)])).Errno);
    }

    [Fact]
    public void What_is_cut_off_a_watched_file_is_zeroes_from_then_on_and_the_rest_is_as_it_was()
    {
        Assert.SkipUnless(RuntimeInformation.ProcessArchitecture == Architecture.X64, "watching memory is written for x86-64");
        using FileDescriptor file = MemFd.Create("ram", 4 * (long)Page);
        using MappedRegion region = MappedRegion.Map(file, 0, 4 * Page);
        using MappedRegion other = MappedRegion.Map(file, 0, Page);
        Assert.True(region.Watch() && other.Watch());
        region.Slice(0, (int)(4 * Page)).Fill(7);
        ulong before = MappedRegion.LossCount;

        MemFd.Resize(file, (long)Page);
        bool hadLost = region.HasLost;
        byte beyond = region.Slice(Page, 1)[0];
        region.Slice(3 * Page, 1)[0] = 9;

        Assert.Equal((false, (byte)0, true, false), (hadLost, beyond, region.HasLost, other.HasLost));
        Assert.True(MappedRegion.LossCount > before);
        Assert.Equal((7, 0, 9), (region.Slice(Page - 1, 1)[0], region.Slice(2 * Page, 1)[0], region.Slice(3 * Page, 1)[0]));
        Assert.Equal(7, other.Slice(5, 1)[0]);
    }

    [Fact]
    public void Regions_can_be_watched_and_unmapped_for_ever()
    {
        using FileDescriptor file = MemFd.Create("ram", (long)Page);
        for (int i = 0; i < 5000; i++)
        {
            using MappedRegion region = MappedRegion.Map(file, 0, Page);
            Assert.Equal(RuntimeInformation.ProcessArchitecture == Architecture.X64, region.Watch());
        }
    }
}
