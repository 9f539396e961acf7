namespace VirtioSharp.Linux.Tests;

public sealed class FileDescriptorTests
{
    [Fact]
    public void Disposing_closes_the_descriptor()
    {
        using Peer peer = Peer.Connect();

        peer.There.Descriptor.Dispose();

        Assert.True(peer.ThereIsClosed);
    }

    [Fact]
    public void A_duplicate_keeps_the_description_open_and_outlives_the_original()
    {
        using Peer peer = Peer.Connect();
        using ReceivedFds fds = new();

        using FileDescriptor copy = peer.There.Descriptor.Duplicate();
        peer.There.Dispose();

        Assert.NotEqual(peer.There.Descriptor.Number, copy.Number);
        Assert.Equal(UnixSocket.WouldBlock, peer.Here.ReceiveWithFds(new byte[1], fds));
        copy.Dispose();
        Assert.True(peer.ThereIsClosed);
    }

    [Fact]
    public void A_duplicate_is_close_on_exec()
    {
        using FileDescriptor file = MemFd.Create("cloexec", 0);
        using FileDescriptor copy = file.Duplicate();

        Assert.True(copy.IsCloseOnExec());
    }

    [Fact]
    public void A_negative_number_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => FileDescriptor.Adopt(-1));

    [Fact]
    public void A_closed_number_is_told_by_the_first_call()
    {
        using FileDescriptor nothing = FileDescriptor.Adopt(1_000_000);

        LinuxException failure = Assert.Throws<LinuxException>(() => nothing.Duplicate());

        Assert.Equal(Errno.EBADF, failure.Errno);
        nothing.SetHandleAsInvalid();
    }

    [Fact]
    public void A_descriptor_tells_what_it_is()
    {
        using EventFd counter = EventFd.Create();
        using FileDescriptor file = MemFd.Create("ram", 0);
        using Peer peer = Peer.Connect();

        Assert.Equal("anon_inode:[eventfd]", counter.Descriptor.Describe());
        Assert.Equal("/memfd:ram (deleted)", file.Describe());
        Assert.StartsWith("socket:[", peer.Here.Descriptor.Describe(), StringComparison.Ordinal);
    }
}
