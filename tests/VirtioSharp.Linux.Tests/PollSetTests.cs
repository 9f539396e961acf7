namespace VirtioSharp.Linux.Tests;

public sealed class PollSetTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly PollSet _set = new(3);
    private readonly EventFd _first = EventFd.Create(), _second = EventFd.Create();

    public PollSetTests()
    {
        _set.Set(0, _first.Descriptor);
        _set.Set(2, _second.Descriptor);
    }

    public void Dispose()
    {
        _set.Dispose();
        _first.Dispose();
        _second.Dispose();
    }

    [Fact]
    public void It_tells_which_of_its_descriptors_is_ready()
    {
        _second.Signal();

        Assert.Equal(1, _set.Wait(Patience));
        Assert.Equal((false, false, true), (_set.IsReady(0), _set.IsReady(1), _set.IsReady(2)));

        _first.Signal();
        Assert.Equal(2, _set.Wait(Timeout.InfiniteTimeSpan));
        Assert.True(_set.IsReady(0) && _set.IsReady(2));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1_500)]
    public void With_nothing_ready_the_time_runs_out(int microseconds)
    {
        Assert.Equal(0, _set.Wait(TimeSpan.FromMicroseconds(microseconds)));
        Assert.False(_set.IsReady(0) || _set.IsReady(2));
    }

    [Fact]
    public void A_slot_that_is_not_watched_ends_no_wait_until_it_is_again()
    {
        _first.Signal();
        _set.Watch(0, false);
        _set.Watch(1, true); // nothing is there

        Assert.Equal(0, _set.Wait(TimeSpan.Zero));
        Assert.False(_set.IsReady(0));

        _set.Watch(0, true);
        Assert.Equal(1, _set.Wait(TimeSpan.Zero));
        Assert.True(_set.IsReady(0));
    }

    [Fact]
    public void The_end_of_a_connection_is_ready()
    {
        (UnixSocket ours, UnixSocket theirs) = UnixSocket.Pair();
        using (ours)
        {
            _set.Set(1, ours.Descriptor);
            theirs.Dispose();

            Assert.Equal(1, _set.Wait(Patience));
            Assert.True(_set.IsReady(1));
            _set.Set(1, null);
        }
    }

    [Fact]
    public void A_descriptor_stays_open_until_it_has_left_its_slot()
    {
        FileDescriptor descriptor = _first.Descriptor;
        _first.Signal();
        _first.Dispose();

        Assert.Equal(1, _set.Wait(TimeSpan.Zero)); // a closed number would be reported, too, as POLLNVAL: so look closer
        Assert.Equal("anon_inode:[eventfd]", descriptor.Describe());
        _set.Set(0, null);

        Assert.Equal(0, _set.Wait(TimeSpan.Zero));
        Assert.Throws<ObjectDisposedException>(() => _set.Set(0, descriptor));
    }

    [Fact]
    public void A_wait_allocates_nothing()
    {
        Look();
        long before = GC.GetAllocatedBytesForCurrentThread();

        Look();

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Look()
        {
            for (int i = 0; i < 100; i++)
            {
                _set.Watch(i % 3, (i & 1) == 0);
                _set.Wait(TimeSpan.Zero);
                _ = _set.IsReady(i % 3);
            }
        }
    }
}
