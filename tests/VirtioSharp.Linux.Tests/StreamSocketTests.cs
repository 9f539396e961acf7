using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace VirtioSharp.Linux.Tests;

public sealed class StreamSocketTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Bytes_go_from_and_to_memory_in_pieces(bool overTcp)
    {
        EndPoint address = overTcp ? new IPEndPoint(IPAddress.Loopback, 0) : new UnixDomainSocketEndPoint(_directory["s"]);
        using var listener = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(address);
        listener.Listen();
        using StreamSocket socket = StreamSocket.BeginConnecting(listener.LocalEndPoint!);
        Assert.True(Readiness.WaitWritable(socket.Descriptor, Patience));
        socket.FinishConnecting();
        using Socket peer = listener.Accept();
        byte[] memory = GC.AllocateArray<byte>(8, pinned: true);
        "abcdefgh"u8.CopyTo(memory);
        IoVector[] pieces = [Piece(memory, 6, 2), Piece(memory, 0, 3)];

        Assert.Equal(StreamSocket.WouldBlock, socket.Receive(pieces));
        Assert.Equal(5, socket.Send(pieces));
        byte[] heard = new byte[5];
        for (int at = 0; at < heard.Length;)
            at += peer.Receive(heard.AsSpan(at));
        Assert.Equal("ghabc"u8, heard);

        peer.Send("12345"u8);
        Assert.True(Readiness.WaitReadable(socket.Descriptor, Patience));
        Assert.Equal(5, socket.Receive(pieces));
        Assert.Equal("345def12"u8, memory);

        peer.Close();
        Assert.True(Readiness.WaitReadable(socket.Descriptor, Patience));
        Assert.Equal(0, socket.Receive(pieces));
    }

    [Fact]
    public void Where_nobody_listens_that_is_said_at_once_or_when_connecting_has_ended()
    {
        Assert.Equal(Errno.ENOENT, Assert.Throws<LinuxException>(() => StreamSocket.BeginConnecting(new UnixDomainSocketEndPoint(_directory["none"]))).Errno);

        int port;
        using (var probe = new TcpListener(IPAddress.Loopback, 0))
        {
            probe.Start();
            port = ((IPEndPoint)probe.LocalEndpoint).Port;
        }

        Assert.Equal(Errno.ECONNREFUSED, Assert.Throws<LinuxException>(() =>
        {
            using StreamSocket socket = StreamSocket.BeginConnecting(new IPEndPoint(IPAddress.Loopback, port));
            Readiness.WaitWritable(socket.Descriptor, Patience);
            socket.FinishConnecting();
        }).Errno);
    }

    private static IoVector Piece(byte[] memory, int at, int length) => new(Marshal.UnsafeAddrOfPinnedArrayElement(memory, at), length);
}
