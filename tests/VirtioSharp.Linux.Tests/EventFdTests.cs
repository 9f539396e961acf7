using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Tests;

public sealed partial class EventFdTests
{
    [Fact]
    public void Signals_add_up_until_drained()
    {
        using EventFd counter = EventFd.Create();

        Assert.False(counter.TryDrain(out _));
        Assert.True(counter.Signal());
        Assert.True(counter.Signal());

        Assert.True(counter.TryDrain(out ulong count));
        Assert.Equal(2u, count);
        Assert.False(counter.TryDrain(out count));
        Assert.Equal(0u, count);
    }

    [Fact]
    public void A_signal_on_an_adopted_blocking_eventfd_does_not_block_when_the_counter_is_full()
    {
        using EventFd counter = EventFd.Adopt(FileDescriptor.Adopt(eventfd(0, 0)));
        ulong nearlyFull = ulong.MaxValue - 1;
        Assert.Equal(8, write(counter.Descriptor.Number, nearlyFull));

        Assert.True(counter.Signal());

        Assert.True(counter.TryDrain(out ulong count));
        Assert.Equal(nearlyFull, count);
    }

    [Fact]
    public void Draining_an_adopted_blocking_eventfd_does_not_block_when_nobody_signalled()
    {
        using EventFd counter = EventFd.Adopt(FileDescriptor.Adopt(eventfd(0, 0)));

        Assert.False(counter.TryDrain(out _));
    }

    [Fact]
    public void A_signal_reaches_whoever_shares_the_counter()
    {
        using EventFd driver = EventFd.Create();
        using EventFd device = EventFd.Adopt(driver.Descriptor.Duplicate());

        device.Signal();

        Assert.True(driver.TryDrain(out _));
    }

    [Fact]
    public void What_is_not_an_eventfd_is_refused_and_closed()
    {
        using Peer peer = Peer.Connect();

        LinuxException failure = Assert.Throws<LinuxException>(() => EventFd.Adopt(peer.There.Descriptor));

        Assert.Equal(Errno.EINVAL, failure.Errno);
        Assert.Contains("not an eventfd", failure.Message, StringComparison.Ordinal);
        Assert.True(peer.ThereIsClosed);
    }

    [Fact]
    public void A_file_passed_as_an_eventfd_is_refused()
    {
        FileDescriptor file = MemFd.Create("not-a-counter", 4096);

        Assert.Throws<LinuxException>(() => EventFd.Adopt(file));

        Assert.True(file.IsClosed);
    }

    [Fact]
    public void Signalling_and_draining_allocate_nothing()
    {
        using EventFd counter = EventFd.Create();
        SignalAndDrain(counter, 100);

        long before = GC.GetAllocatedBytesForCurrentThread();
        SignalAndDrain(counter, 100);

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void SignalAndDrain(EventFd counter, int times)
    {
        for (int i = 0; i < times; i++)
        {
            counter.Signal();
            counter.TryDrain(out _);
            counter.TryDrain(out _);
        }
    }

    // The tests' own imports: what a careless peer would do.
    [LibraryImport("libc")]
    private static partial int eventfd(uint initial, int flags);

    private static unsafe nint write(int fd, ulong value) => write(fd, &value, sizeof(ulong));

    [LibraryImport("libc")]
    private static unsafe partial nint write(int fd, void* buffer, nuint count);
}
