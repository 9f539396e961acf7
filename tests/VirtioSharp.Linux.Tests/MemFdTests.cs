namespace VirtioSharp.Linux.Tests;

public sealed class MemFdTests
{
    [Fact]
    public void A_file_sealed_against_shrinking_cannot_be_shortened()
    {
        using FileDescriptor file = MemFd.Create("ram", 8192);
        Assert.Equal(FileSeals.None, MemFd.GetSeals(file));

        Assert.True(MemFd.TrySealShrink(file));

        Assert.Equal(FileSeals.Shrink, MemFd.GetSeals(file));
        LinuxException failure = Assert.Throws<LinuxException>(() => MemFd.Resize(file, 4096));
        Assert.Equal(Errno.EPERM, failure.Errno);
        MemFd.Resize(file, 16384);
        Assert.Equal(16384u, FileFacts.Of(file).Size);
    }

    [Fact]
    public void Sealing_twice_succeeds_twice()
    {
        using FileDescriptor file = MemFd.Create("ram", 8192);

        Assert.True(MemFd.TrySealShrink(file));
        Assert.True(MemFd.TrySealShrink(file));
    }

    [Fact]
    public void A_memfd_made_without_sealing_says_that_it_cannot_be_sealed()
    {
        using FileDescriptor file = MemFd.Create("ram", 8192, allowSealing: false);

        Assert.Equal(FileSeals.Seal, MemFd.GetSeals(file));
        Assert.False(MemFd.TrySealShrink(file));
    }

    [Fact]
    public void What_is_not_a_file_has_no_seals()
    {
        using EventFd counter = EventFd.Create();

        Assert.Null(MemFd.GetSeals(counter.Descriptor));
        Assert.False(MemFd.TrySealShrink(counter.Descriptor));
    }

    [Fact]
    public void A_name_that_is_too_long_is_refused()
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => MemFd.Create(new string('x', 250), 0));

        Assert.Equal(Errno.EINVAL, failure.Errno);
    }

    [Fact]
    public void Seals_are_added_for_good_and_the_last_of_them_ends_it()
    {
        using FileDescriptor file = MemFd.Create("sealed", 4096);

        MemFd.AddSeals(file, FileSeals.Shrink | FileSeals.Grow);
        MemFd.AddSeals(file, FileSeals.Seal);

        Assert.Equal(FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal, MemFd.GetSeals(file));
        Assert.Equal(Errno.EPERM, Assert.Throws<LinuxException>(() => MemFd.AddSeals(file, FileSeals.FutureWrite)).Errno);
    }
}
