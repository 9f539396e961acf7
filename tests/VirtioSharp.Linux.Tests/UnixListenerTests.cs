using System.Net.Sockets;

namespace VirtioSharp.Linux.Tests;

public sealed class UnixListenerTests
{
    [Fact]
    public void A_connection_is_accepted_and_carries_bytes()
    {
        using TemporaryDirectory directory = new();
        using UnixListener listener = UnixListener.Listen(directory["sock"]);
        using UnixSocket client = UnixSocket.Connect(directory["sock"]);
        using ReceivedFds fds = new();

        using UnixSocket? server = listener.Accept();

        Assert.NotNull(server);
        client.SendWithFds([42], []);
        byte[] buffer = new byte[1];
        Assert.Equal(1, server.ReceiveWithFds(buffer, fds));
        Assert.Equal(42, buffer[0]);
        Assert.Equal(Environment.ProcessId, server.Peer.ProcessId);
    }

    [Fact]
    public void Nobody_waiting_is_null_for_a_non_blocking_listener()
    {
        using TemporaryDirectory directory = new();
        using UnixListener listener = UnixListener.Listen(directory["sock"], nonBlocking: true);

        Assert.Null(listener.Accept());
    }

    [Fact]
    public void The_file_of_a_dead_daemon_is_replaced()
    {
        using TemporaryDirectory directory = new();
        LeaveStaleSocket(directory["sock"]);
        Assert.Equal(FileKind.Socket, FileFacts.OfPath(directory["sock"])!.Value.Kind);

        using UnixListener listener = UnixListener.Listen(directory["sock"]);

        using UnixSocket client = UnixSocket.Connect(directory["sock"]);
    }

    [Fact]
    public void The_address_of_a_living_daemon_is_not_taken()
    {
        using TemporaryDirectory directory = new();
        using UnixListener first = UnixListener.Listen(directory["sock"]);

        LinuxException failure = Assert.Throws<LinuxException>(() => UnixListener.Listen(directory["sock"]));

        Assert.Equal(Errno.EADDRINUSE, failure.Errno);
        Assert.Equal($"bind {directory["sock"]}: address already in use (EADDRINUSE)", failure.Message);
        using UnixSocket client = UnixSocket.Connect(directory["sock"]);
    }

    [Fact]
    public void A_daemon_whose_backlog_is_full_is_alive()
    {
        using TemporaryDirectory directory = new();
        using UnixListener first = UnixListener.Listen(directory["sock"], backlog: 0);
        using UnixSocket waiting = UnixSocket.Connect(directory["sock"]);

        LinuxException failure = Assert.Throws<LinuxException>(() => UnixListener.Listen(directory["sock"]));

        Assert.Equal(Errno.EADDRINUSE, failure.Errno);
    }

    [Fact]
    public void A_datagram_socket_is_somebody()
    {
        using TemporaryDirectory directory = new();
        using Socket datagram = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        datagram.Bind(new UnixDomainSocketEndPoint(directory["sock"]));

        LinuxException failure = Assert.Throws<LinuxException>(() => UnixListener.Listen(directory["sock"]));

        Assert.Equal(Errno.EADDRINUSE, failure.Errno);
    }

    [Fact]
    public void A_file_that_is_not_a_socket_is_kept_and_named_as_the_reason()
    {
        using TemporaryDirectory directory = new();
        File.WriteAllText(directory["precious"], "data");

        LinuxException failure = Assert.Throws<LinuxException>(() => UnixListener.Listen(directory["precious"]));

        Assert.Equal(Errno.EEXIST, failure.Errno);
        Assert.Contains("not a socket", failure.Message, StringComparison.Ordinal);
        Assert.Equal("data", File.ReadAllText(directory["precious"]));
    }

    [Fact]
    public void A_path_of_107_bytes_works_and_one_byte_more_is_refused()
    {
        using TemporaryDirectory directory = new();
        string longest = directory[new string('x', 106 - directory[""].Length)];
        Assert.Equal(107, longest.Length);

        using (UnixListener listener = UnixListener.Listen(longest))
        using (UnixSocket client = UnixSocket.Connect(longest))
        {
            Assert.Equal(longest, listener.Path);
        }

        LinuxException failure = Assert.Throws<LinuxException>(() => UnixListener.Listen(longest + "x"));
        Assert.Equal(Errno.ENAMETOOLONG, failure.Errno);
        Assert.Contains("108 bytes", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bytes_count_for_a_path_and_not_characters()
    {
        LinuxException failure = Assert.Throws<LinuxException>(() => UnixSocket.Connect("/tmp/" + new string('é', 60)));

        Assert.Equal(Errno.ENAMETOOLONG, failure.Errno);
    }

    [Theory]
    [InlineData("")]
    [InlineData("a\0b")]
    public void A_path_that_would_mean_something_else_to_the_kernel_is_refused(string path) =>
        Assert.Throws<ArgumentException>(() => UnixListener.Listen(path));

    [Fact]
    public void Disposing_removes_the_socket_file()
    {
        using TemporaryDirectory directory = new();
        UnixListener listener = UnixListener.Listen(directory["sock"]);

        listener.Dispose();
        listener.Dispose();

        Assert.Null(FileFacts.OfPath(directory["sock"]));
    }

    [Fact]
    public void Disposing_leaves_the_file_of_a_successor_alone()
    {
        using TemporaryDirectory directory = new();
        UnixListener listener = UnixListener.Listen(directory["sock"]);
        File.Delete(directory["sock"]);
        using UnixListener successor = UnixListener.Listen(directory["sock"]);

        listener.Dispose();

        using UnixSocket client = UnixSocket.Connect(directory["sock"]);
    }

    [Fact]
    public void A_missing_directory_is_an_error()
    {
        using TemporaryDirectory directory = new();

        LinuxException failure = Assert.Throws<LinuxException>(() => UnixListener.Listen(directory["none/sock"]));

        Assert.Equal(Errno.ENOENT, failure.Errno);
        Assert.StartsWith("bind ", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Connecting_to_a_dead_daemon_is_refused()
    {
        using TemporaryDirectory directory = new();
        LeaveStaleSocket(directory["sock"]);

        LinuxException failure = Assert.Throws<LinuxException>(() => UnixSocket.Connect(directory["sock"]));

        Assert.Equal(Errno.ECONNREFUSED, failure.Errno);
    }

    [Fact]
    public void A_listening_socket_can_be_adopted_and_leaves_its_file_in_place()
    {
        using TemporaryDirectory directory = new();
        using UnixListener original = UnixListener.Listen(directory["sock"]);

        using (UnixListener adopted = UnixListener.Adopt(original.Descriptor.Duplicate()))
        using (UnixSocket client = UnixSocket.Connect(directory["sock"]))
        using (UnixSocket? server = adopted.Accept())
        {
            Assert.NotNull(server);
        }

        Assert.NotNull(FileFacts.OfPath(directory["sock"]));
    }

    [Fact]
    public void A_connected_socket_is_no_listener()
    {
        using Peer peer = Peer.Connect();

        Assert.False(UnixListener.IsListening(peer.Here.Descriptor));
        Assert.Throws<LinuxException>(() => UnixListener.Adopt(peer.Here.Descriptor.Duplicate()));
    }

    // Closing without removing the file is what being killed looks like from outside.
    private static void LeaveStaleSocket(string path)
    {
        UnixListener listener = UnixListener.Listen(path);
        listener.Descriptor.Dispose();
        listener.Dispose();
    }
}
