namespace VirtioSharp.Linux.Tests;

public sealed class EpollTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)] // as on kernels without epoll_pwait2
    public void A_ready_descriptor_comes_back_with_its_token(bool countsMilliseconds)
    {
        using Epoll epoll = new() { CountsMilliseconds = countsMilliseconds };
        using EventFd quiet = EventFd.Create();
        using EventFd ready = EventFd.Create();
        epoll.Add(quiet.Descriptor, EpollEvents.In, 1);
        epoll.Add(ready.Descriptor, EpollEvents.In, 0xFEDC_BA98_7654_3210);
        Assert.Equal(0, epoll.Wait(TimeSpan.Zero));

        ready.Signal();

        Assert.Equal(1, epoll.Wait(Timeout.InfiniteTimeSpan));
        Assert.Equal(new EpollReady(EpollEvents.In, 0xFEDC_BA98_7654_3210), epoll[0]);
    }

    [Fact]
    public void Several_ready_descriptors_come_in_one_batch_as_far_as_there_is_room()
    {
        using Epoll epoll = new(capacity: 3);
        EventFd[] counters = [.. Enumerable.Range(0, 4).Select(_ => EventFd.Create())];
        for (int i = 0; i < counters.Length; i++)
        {
            epoll.Add(counters[i].Descriptor, EpollEvents.In, (ulong)i);
            counters[i].Signal();
        }

        Assert.Equal(3, epoll.Wait(TimeSpan.Zero));
        Assert.Equal([0, 1, 2], Enumerable.Range(0, 3).Select(i => epoll[i].Token));
        Assert.Equal(3, epoll.Wait(TimeSpan.Zero));
        Assert.Equal(3u, epoll[0].Token); // whoever had no room comes first next time

        Array.ForEach(counters, c => c.Dispose());
    }

    [Fact]
    public void An_interest_can_be_changed_and_taken_back()
    {
        using Epoll epoll = new();
        using Peer peer = Peer.Connect();
        epoll.Add(peer.Here.Descriptor, EpollEvents.In, 1);
        Assert.Equal(0, epoll.Wait(TimeSpan.Zero));

        epoll.Modify(peer.Here.Descriptor, EpollEvents.Out, 2);
        Assert.Equal(1, epoll.Wait(TimeSpan.Zero));
        Assert.Equal(new EpollReady(EpollEvents.Out, 2), epoll[0]);

        epoll.Remove(peer.Here.Descriptor);
        Assert.Equal(0, epoll.Wait(TimeSpan.Zero));
    }

    [Fact]
    public void Mistakes_are_told()
    {
        using Epoll epoll = new();
        using EventFd counter = EventFd.Create();
        using EventFd stranger = EventFd.Create();
        using FileDescriptor file = MemFd.Create("always-ready", 0);
        epoll.Add(counter.Descriptor, EpollEvents.In, 1);

        Assert.Equal(Errno.EEXIST, Assert.Throws<LinuxException>(() => epoll.Add(counter.Descriptor, EpollEvents.In, 1)).Errno);
        Assert.Equal(Errno.EPERM, Assert.Throws<LinuxException>(() => epoll.Add(file, EpollEvents.In, 1)).Errno);
        Assert.Equal(Errno.ENOENT, Assert.Throws<LinuxException>(() => epoll.Remove(stranger.Descriptor)).Errno);
    }

    [Fact]
    public void A_timeout_passes_with_nothing_ready()
    {
        using Epoll epoll = new();

        Assert.Equal(0, epoll.Wait(TimeSpan.FromMicroseconds(50)));
    }

    [Theory]
    [InlineData(-5, 0)]
    [InlineData(0, 0)]
    [InlineData(1, 1)]
    [InlineData(10_000, 1)]
    [InlineData(10_001, 2)]
    [InlineData(long.MaxValue, int.MaxValue)]
    public void Milliseconds_are_rounded_up(long ticks, int milliseconds) =>
        Assert.Equal(milliseconds, Milliseconds.RoundUp(new TimeSpan(ticks)));
}
