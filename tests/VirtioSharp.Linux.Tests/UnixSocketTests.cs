namespace VirtioSharp.Linux.Tests;

public sealed class UnixSocketTests
{
    [Fact]
    public void Bytes_sent_at_one_end_arrive_at_the_other()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();
        byte[] buffer = new byte[10];

        Assert.Equal(3, peer.There.SendWithFds([1, 2, 3], []));

        Assert.Equal(3, peer.Here.ReceiveWithFds(buffer, fds));
        Assert.Equal([1, 2, 3], buffer[..3]);
        Assert.Equal(0, fds.Count);
        Assert.False(fds.Truncated);
    }

    [Fact]
    public void Descriptors_arrive_in_order_as_new_owned_descriptors_of_the_same_files()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();
        using FileDescriptor ram = MemFd.Create("ram", 4096);
        using EventFd kick = EventFd.Create();

        peer.There.SendWithFds([1], [ram, kick.Descriptor]);
        peer.Here.ReceiveWithFds(new byte[1], fds);

        Assert.Equal(2, fds.Count);
        using FileDescriptor first = fds.Take(0);
        using EventFd second = EventFd.Adopt(fds.Take(1));
        Assert.NotEqual(ram.Number, first.Number);
        Assert.Equal(FileFacts.Of(ram).Identity, FileFacts.Of(first).Identity);
        second.Signal();
        Assert.True(kick.TryDrain(out _));
    }

    [Fact]
    public void As_many_descriptors_as_the_kernel_allows_arrive_at_once()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();
        using EventFd kick = EventFd.Create();
        FileDescriptor[] many = [.. Enumerable.Repeat(kick.Descriptor, 253)];

        peer.There.SendWithFds([1], many);
        peer.Here.ReceiveWithFds(new byte[1], fds);

        Assert.Equal(253, fds.Count);
        Assert.False(fds.Truncated);
        Assert.Throws<ArgumentOutOfRangeException>(() => peer.There.SendWithFds([1], [.. many, kick.Descriptor]));
    }

    [Fact]
    public void Received_descriptors_are_close_on_exec()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();

        peer.There.SendWithFds([1], [peer.There.Descriptor]);
        peer.Here.ReceiveWithFds(new byte[1], fds);

        using FileDescriptor received = fds.Take(0);
        Assert.True(received.IsCloseOnExec());
    }

    [Fact]
    public void More_descriptors_than_fit_are_reported_and_those_that_fit_are_owned()
    {
        using Peer peer = Peer.Connect();
        using Peer passed = Peer.Connect();
        using ReceivedFds fds = new(capacity: 1);

        peer.There.SendWithFds([1], [passed.There.Descriptor, passed.There.Descriptor, passed.There.Descriptor]);
        passed.There.Dispose();
        Assert.Equal(1, peer.Here.ReceiveWithFds(new byte[1], fds));

        Assert.True(fds.Truncated);
        Assert.Equal(1, fds.Count);
        fds.Clear();
        Assert.False(fds.Truncated);
        Assert.True(passed.ThereIsClosed);
    }

    [Fact]
    public void Descriptors_beyond_the_capacity_are_dropped_also_when_they_come_later()
    {
        using Peer peer = Peer.Connect();
        using Peer passed = Peer.Connect();
        using ReceivedFds fds = new(capacity: 1);
        using EventFd first = EventFd.Create();
        peer.There.SendWithFds([1], [first.Descriptor]);
        peer.Here.ReceiveWithFds(new byte[1], fds);
        Assert.False(fds.Truncated);

        peer.There.SendWithFds([2], [passed.There.Descriptor]);
        passed.There.Dispose();
        Assert.Equal(1, peer.Here.ReceiveWithFds(new byte[1], fds));

        Assert.True(fds.Truncated);
        Assert.Equal(1, fds.Count);
        Assert.True(passed.ThereIsClosed);
    }

    [Fact]
    public void Clearing_closes_what_was_not_taken_and_keeps_what_was()
    {
        using Peer peer = Peer.Connect();
        using Peer wanted = Peer.Connect();
        using Peer unwanted = Peer.Connect();
        using ReceivedFds fds = new();
        peer.There.SendWithFds([1], [wanted.There.Descriptor, unwanted.There.Descriptor]);
        wanted.There.Dispose();
        unwanted.There.Dispose();
        peer.Here.ReceiveWithFds(new byte[1], fds);

        using FileDescriptor taken = fds.Take(0);
        Assert.Throws<InvalidOperationException>(() => fds.Take(0));
        fds.Clear();

        Assert.Equal(0, fds.Count);
        Assert.Throws<ArgumentOutOfRangeException>(() => fds.Take(0));
        Assert.False(wanted.ThereIsClosed);
        Assert.True(unwanted.ThereIsClosed);
    }

    [Fact]
    public void An_empty_non_blocking_socket_would_block()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();

        Assert.Equal(UnixSocket.WouldBlock, peer.Here.ReceiveWithFds(new byte[1], fds));
    }

    [Fact]
    public void A_closed_peer_is_an_end_of_stream_to_read_and_an_error_to_write()
    {
        using Peer peer = Peer.Connect();
        peer.There.Dispose();

        Assert.True(peer.ThereIsClosed);
        LinuxException failure = Assert.Throws<LinuxException>(() => peer.Here.SendWithFds([1], []));
        Assert.Equal(Errno.EPIPE, failure.Errno);
    }

    [Fact]
    public void A_full_socket_takes_a_part_and_then_would_block()
    {
        using Peer peer = Peer.Connect();
        byte[] large = new byte[64 << 20];

        int sent = peer.Here.SendWithFds(large, []);

        Assert.InRange(sent, 1, large.Length - 1);
        Assert.Equal(UnixSocket.WouldBlock, peer.Here.SendWithFds(large, []));
    }

    [Fact]
    public async Task Sending_everything_waits_for_room_and_sends_descriptors_once()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();
        using EventFd kick = EventFd.Create();
        byte[] large = new byte[4 << 20];
        large[^1] = 0xEE;

        Task sending = Task.Run(
            () => peer.There.SendAllWithFds(large, [kick.Descriptor], Timeout.InfiniteTimeSpan),
            TestContext.Current.CancellationToken);
        byte[] received = ReceiveExactly(peer.Here, large.Length, fds);
        await sending;

        Assert.Equal(0xEE, received[^1]);
        Assert.Equal(1, fds.Count);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Sending_everything_gives_up_on_a_peer_that_does_not_read(bool nonBlocking)
    {
        using Peer peer = Peer.Connect(nonBlocking);

        LinuxException failure = Assert.Throws<LinuxException>(
            () => peer.There.SendAllWithFds(new byte[64 << 20], [], TimeSpan.FromMilliseconds(1)));

        Assert.Equal(Errno.EAGAIN, failure.Errno);
    }

    [Fact]
    public void Sending_and_receiving_nothing_is_refused()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();

        Assert.Throws<ArgumentException>(() => peer.Here.SendWithFds([], []));
        Assert.Throws<ArgumentException>(() => peer.Here.ReceiveWithFds([], fds));
    }

    [Fact]
    public void A_closed_descriptor_is_not_sent_and_those_before_it_stay_usable()
    {
        using Peer peer = Peer.Connect();
        EventFd good = EventFd.Create();
        EventFd closed = EventFd.Create();
        closed.Dispose();

        Assert.Throws<ObjectDisposedException>(() => peer.Here.SendWithFds([1], [good.Descriptor, closed.Descriptor]));

        Assert.True(good.Signal());
        good.Dispose();
        Assert.True(good.Descriptor.IsClosed);
    }

    [Fact]
    public void The_peer_of_a_pair_is_this_process()
    {
        using Peer peer = Peer.Connect();

        Assert.Equal(Environment.ProcessId, peer.Here.Peer.ProcessId);
    }

    [Fact]
    public void Waiting_for_a_socket_tells_data_from_a_timeout()
    {
        using Peer peer = Peer.Connect();
        Assert.False(Readiness.WaitReadable(peer.Here.Descriptor, TimeSpan.Zero));

        peer.There.SendWithFds([1], []);

        Assert.True(Readiness.WaitReadable(peer.Here.Descriptor, Timeout.InfiniteTimeSpan));
        Assert.True(Readiness.WaitWritable(peer.Here.Descriptor, TimeSpan.Zero));
    }

    [Fact]
    public void An_adopted_descriptor_must_be_a_socket()
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => UnixSocket.Adopt(EventFd.Create().Descriptor));

        Assert.Equal(Errno.ENOTSOCK, failure.Errno);
    }

    [Fact]
    public void Adopting_makes_a_blocking_socket_non_blocking_when_asked_to()
    {
        using Peer peer = Peer.Connect(nonBlocking: false);
        using ReceivedFds fds = new();

        using UnixSocket adopted = UnixSocket.Adopt(peer.Here.Descriptor.Duplicate(), nonBlocking: true);

        Assert.Equal(UnixSocket.WouldBlock, adopted.ReceiveWithFds(new byte[1], fds));
    }

    private static byte[] ReceiveExactly(UnixSocket socket, int length, ReceivedFds fds)
    {
        byte[] buffer = new byte[length];
        for (int at = 0; at < length;)
        {
            Readiness.WaitReadable(socket.Descriptor, Timeout.InfiniteTimeSpan);
            int received = socket.ReceiveWithFds(buffer.AsSpan(at), fds);
            Assert.NotEqual(0, received);
            at += Math.Max(received, 0);
        }

        return buffer;
    }
}
