using System.Net;
using System.Net.Sockets;
using VirtioSharp.Backends.Nbd;
using VirtioSharp.Backends.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Transports.Loopback;
using static VirtioSharp.Backends.Tests.Support.ScriptedNbd;

namespace VirtioSharp.Backends.Tests;

/// <summary>The NBD back-end against servers that follow a script: rare replies, lies, and silence.</summary>
[Proves("Block device", "loopback")]
public sealed class NbdBackendTests : IDisposable
{
    private readonly CapturedLog _log = new();
    private ScriptedNbd? _server;
    private NbdBackend? _backend;
    private LoopbackTransport? _transport;
    private BlockDriver? _driver;

    private BlockDriver Driver => _driver!;

    public static TheoryData<string, NbdFailure, string> Handshakes => new()
    {
        { "nonsense", NbdFailure.BrokeProtocol, "which is not NBD" },
        { "oldstyle", NbdFailure.Refused, "oldstyle" },
        { "not fixed", NbdFailure.Refused, "fixed newstyle" },
        { "closes", NbdFailure.Unreachable, "closed the connection in the handshake" },
        { "long reply", NbdFailure.BrokeProtocol, "an option reply of 4294967295 bytes" },
        { "other option", NbdFailure.BrokeProtocol, "a reply to option 9" },
        { "bad reply magic", NbdFailure.BrokeProtocol, "an option reply begins with" },
        { "unknown export", NbdFailure.Refused, "the server has no such export (who?)" },
        { "tls", NbdFailure.Refused, "wants TLS" },
        { "no export info", NbdFailure.BrokeProtocol, "without NBD_INFO_EXPORT" },
        { "short info", NbdFailure.BrokeProtocol, "an information of 1 bytes" },
        { "odd blocks", NbdFailure.BrokeProtocol, "block sizes 3" },
        { "no flags", NbdFailure.BrokeProtocol, "NBD_FLAG_HAS_FLAGS" },
        { "huge", NbdFailure.BrokeProtocol, "an export of 18446744073709551615 bytes" },
        { "endless info", NbdFailure.BrokeProtocol, "more than 64 informations" },
    };

    public static TheoryData<string, string> Lies => new()
    {
        { "magic", "a reply begins with" },
        { "unknown cookie", "which nobody asked" },
        { "other use of the cookie", "which nobody asked" },
        { "unasked chunk", "a reply begins with" },
        { "too much data", "of a Read of 4096" },
        { "data elsewhere", "of a Read of 4096" },
        { "too little data", "ends with 2048" },
        { "twice", "of a Read of 4096" },
        { "half of it twice", "of a Read of 4096" },
        { "an overlap", "of a Read of 4096" },
        { "empty chunk", "a chunk of type 1 and 8 bytes" },
        { "huge error", "a chunk of type 32769" },
        { "simple read", "without chunks" },
        { "closes", "has closed the connection" },
        { "shutdown", "shutting down" },
    };

    public void Dispose()
    {
        _driver?.Dispose();
        _transport?.Dispose();
        _backend?.Dispose();
        _server?.Dispose();
    }

    [Theory]
    [MemberData(nameof(Handshakes))]
    public void A_handshake_that_cannot_be_is_told(string how, NbdFailure failure, string part)
    {
        _server = new ScriptedNbd(peer => Shake(peer, how));

        var refused = Assert.Throws<NbdException>(() => NbdBackend.Connect(_server.Uri));

        Assert.Equal(failure, refused.Failure);
        Assert.Contains(part, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\x1b', refused.Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_server_without_GO_is_entered_by_the_old_way(ushort handshakeFlags)
    {
        Open(peer =>
        {
            peer.Greet(handshakeFlags);
            peer.Option(8);
            peer.Reply(8, 1u << 31 | 1);
            peer.Option(7);
            peer.Reply(7, 1u << 31 | 1, Text("what?"));
            Assert.Equal("disk"u8, peer.Option(1));
            peer.Send([.. Big((ulong)DiskBytes), .. Big((ushort)0x1), .. new byte[handshakeFlags == 3 ? 0 : 124]]);
            peer.Serve();
        });

        Assert.Equal(Sevens(4096), Read(0));
        Assert.True(Ask(BlockRequest.Flush())); // it has none: what it answered is stable
    }

    [Fact]
    public void Replies_in_any_order_and_in_any_pieces_find_their_requests()
    {
        Open(peer =>
        {
            peer.Enter(structured: true);
            var first = peer.Request();
            var second = peer.Request();
            peer.Chunk(second.Cookie, 0, 1, [.. Big(second.Offset + 1024), .. Sevens(3072)]);
            peer.Chunk(first.Cookie, 0, 2, [.. Big(first.Offset), .. Big(512u)]); // a hole
            peer.Chunk(second.Cookie, 1, 2, [.. Big(second.Offset), .. Big(1024u)]);
            peer.Chunk(first.Cookie, 0, 1, [.. Big(first.Offset + 512), .. Sevens(3584)]);
            peer.Chunk(first.Cookie, 1, 0, []);
            var third = peer.Request();
            peer.Chunk(third.Cookie, 0, 1, [.. Big(third.Offset), .. Sevens(512)]);
            peer.Chunk(third.Cookie, 0, 0x8002, [.. Big(5u), .. Big((ushort)3), .. "bad"u8, .. Big(512ul)]);
            peer.Chunk(third.Cookie, 1, 0, []);
            peer.WaitForEnd();
        });
        DmaBuffer one = Buffer(4096), two = Buffer(4096);
        Assert.True(Driver.TrySubmit(BlockRequest.Read(0, one), out _));
        Assert.True(Driver.TrySubmit(BlockRequest.Read(16, two), out _));

        Assert.All(WaitForAll(2), result => Assert.True(result.IsDone));

        Assert.Equal([.. new byte[512], .. Sevens(3584)], one.Span.ToArray());
        Assert.Equal([.. new byte[1024], .. Sevens(3072)], two.Span.ToArray());
        Assert.False(Ask(BlockRequest.Read(8, one)));
    }

    [Theory]
    [MemberData(nameof(Lies))]
    public void A_server_that_lies_costs_its_connection_and_the_next_one_answers(string how, string part)
    {
        Open(peer => Lie(peer, how), peer =>
        {
            peer.Enter();
            peer.Serve();
        });

        Assert.Equal(Sevens(4096), Read(0));

        Assert.Contains(_log.Lines, line => line.Contains(part, StringComparison.Ordinal));
    }

    [Fact]
    public void A_flush_fails_once_when_what_it_was_to_make_stable_may_be_lost()
    {
        Open(
            peer =>
            {
                peer.Enter();
                var write = peer.Request();
                peer.Simple(write.Cookie);
                peer.Request(); // the flush; gone
            },
            peer =>
            {
                peer.Enter();
                peer.Serve();
            });
        Assert.True(Ask(BlockRequest.Write(0, Buffer(4096))));

        Assert.False(Ask(BlockRequest.Flush()));
        Assert.True(Ask(BlockRequest.Flush()));
    }

    [Fact]
    public void A_flush_is_sent_again_when_nothing_may_be_lost()
    {
        Open(
            peer =>
            {
                peer.Enter();
                for (int i = 0; i < 2; i++)
                    peer.Simple(peer.Request().Cookie); // a write, a flush
                peer.Request();
            },
            peer =>
            {
                peer.Enter();
                peer.Serve();
            });
        Assert.True(Ask(BlockRequest.Write(0, Buffer(4096))));
        Assert.True(Ask(BlockRequest.Flush()));

        Assert.True(Ask(BlockRequest.Flush()));
    }

    [Fact]
    public void A_server_without_flush_has_nothing_that_may_be_lost()
    {
        const ushort WithoutFlush = 0x69;
        Open(
            peer =>
            {
                peer.Enter(flags: WithoutFlush);
                peer.Simple(peer.Request().Cookie);
                peer.Request(); // the read; gone
            },
            peer =>
            {
                peer.Enter(flags: WithoutFlush);
                peer.Serve();
            });
        Assert.True(Ask(BlockRequest.Write(0, Buffer(4096))));
        Assert.Equal(Sevens(4096), Read(0)); // of the second

        Assert.True(Ask(BlockRequest.Flush()));
        Assert.DoesNotContain(_log.Lines, line => line.Contains("may be lost", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // as long as anything is answered now and then
    public void A_queue_stops_though_its_server_is_connected_and_silent(bool answersFirst)
    {
        Open(new NbdBackendOptions { Timeout = TimeSpan.Zero, SilenceAtStop = TimeSpan.FromMilliseconds(200) }, peer =>
        {
            peer.Enter();
            var read = peer.Request();
            if (answersFirst)
                peer.Answer(read.Cookie, read.Type, read.Offset, read.Length, structured: false);
            peer.WaitForEnd();
        });
        Assert.True(Driver.TrySubmit(BlockRequest.Read(0, Buffer(4096)), out _));
        Assert.True(Driver.TrySubmit(BlockRequest.Read(8, Buffer(4096)), out _));
        Assert.True(Driver.TrySubmit(BlockRequest.Flush(), out _));
        Driver.Kick();

        _transport!.Host.DisableQueue(0);

        Assert.Equal((0, false), (_backend!.InFlight, _backend.IsUp)); // nothing of ours is with the server any more
        var results = new List<bool>();
        while (Driver.TryTake(out BlockResult result))
            results.Add(result.IsDone);
        Assert.Equal([answersFirst, false, false], results);
    }

    [Fact]
    public void A_server_that_comes_and_goes_is_told_of_once()
    {
        Open(peer =>
        {
            peer.Enter();
            var read = peer.Request();
            peer.Answer(read.Cookie, read.Type, read.Offset, read.Length, structured: false);
            peer.Request(); // and goes
        });

        for (int i = 0; i < 5; i++)
            Assert.Equal(Sevens(4096), Read(0));

        Assert.Single(_log.Lines, line => line.Contains("trying again", StringComparison.Ordinal));
        Assert.Single(_log.Lines, line => line.Contains("the server is back", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_connection_that_is_given_up_is_reset_so_that_what_is_not_sent_is_not_written_later()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var givenUp = new ManualResetEventSlim();
        Task<SocketError> ending = Task.Run(() =>
        {
            using Socket socket = listener.AcceptSocket();
            using var stream = new NetworkStream(socket);
            var peer = new Peer(stream);
            peer.Enter();
            givenUp.Wait();
            return HowItEnds(socket);
        }, TestContext.Current.CancellationToken);
        var uri = NbdUri.Parse($"nbd://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}/disk");
        Open(uri, new NbdBackendOptions { Timeout = TimeSpan.FromMilliseconds(100) });
        listener.Stop();

        Assert.False(Ask(BlockRequest.Write(0, Buffer(1 << 20)))); // nobody reads it
        givenUp.Set();

        Assert.Equal(SocketError.ConnectionReset, await ending);

        static SocketError HowItEnds(Socket socket)
        {
            byte[] bytes = new byte[65536];
            SocketError error;
            while (socket.Receive(bytes, SocketFlags.None, out error) > 0)
            {
            }

            return error;
        }
    }

    [Fact]
    public void What_has_come_of_a_read_is_counted_byte_by_byte()
    {
        const int Bytes = 200;
        var random = new Random(4);
        var coverage = new Coverage();
        for (int round = 0; round < 500; round++)
        {
            coverage.Clear();
            bool[] come = new bool[Bytes];
            for (int i = 0; i < 100; i++)
            {
                int start = random.Next(Bytes), end = start + random.Next(1, Math.Min(12, Bytes - start) + 1);
                bool isNew = !come.AsSpan(start..end).Contains(true);
                if (isNew)
                    come.AsSpan(start..end).Fill(true);

                Assert.Equal(isNew, coverage.TryAdd(start, end));
                Assert.Equal(come.Count(byteHasCome => byteHasCome), coverage.Bytes);
            }
        }
    }

    [Fact]
    public void A_flush_that_the_server_fails_is_final()
    {
        Open(peer =>
        {
            peer.Enter();
            peer.Simple(peer.Request().Cookie, 5);
            peer.Serve();
        });

        Assert.False(Ask(BlockRequest.Flush()));
        Assert.False(Ask(BlockRequest.Flush()));
        Assert.True(Ask(BlockRequest.Write(0, Buffer(4096))));
    }

    [Fact]
    public void Of_flushes_at_once_one_is_with_the_server_and_its_failure_is_that_of_the_others()
    {
        Open(peer =>
        {
            peer.Enter();
            peer.Simple(peer.Request().Cookie, 5);
            peer.Serve(); // would answer the others well
        });
        for (int i = 0; i < 3; i++)
            Assert.True(Driver.TrySubmit(BlockRequest.Flush(), out _));

        Assert.All(WaitForAll(3), result => Assert.False(result.IsDone));
    }

    [Fact]
    public void A_request_that_nobody_answers_fails_when_its_time_is_up()
    {
        Open(new NbdBackendOptions { Timeout = TimeSpan.FromMilliseconds(100) }, peer =>
        {
            peer.Enter();
            peer.WaitForEnd();
        });

        Assert.False(Ask(BlockRequest.Read(0, Buffer(4096))));
        Assert.Equal(0, _backend!.InFlight);
    }

    [Fact]
    public void Garbage_in_the_handshake_is_an_NBD_error_and_nothing_else()
    {
        var random = new Random(11);
        for (int round = 0; round < 20_000; round++)
        {
            var handshake = new NbdHandshake("disk");
            byte[] greeting = [.. "NBDMAGIC"u8, .. "IHAVEOPT"u8, 0, 3];
            if (random.Next(4) == 0)
                greeting[random.Next(18)] ^= (byte)(1 << random.Next(8));
            try
            {
                handshake.Take(greeting);
                for (int steps = 0; handshake.Export is null && steps < 200; steps++)
                    handshake.Take(Likely(handshake.Needed, random));
            }
            catch (NbdException)
            {
                // What is wrong is told so.
            }

            Assert.InRange(handshake.Needed, 0, 16384);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Garbage_among_the_replies_costs_connections_and_leaves_no_request_behind(bool structured)
    {
        var random = new Random(structured ? 5 : 6);
        Open(new NbdBackendOptions { SettledAfter = TimeSpan.Zero }, peer => // or it would be waited for longer each time
        {
            peer.Enter(structured);
            for (int i = 0; i < 40; i++)
            {
                var request = peer.Request();
                if (i > 0 && random.Next(8) == 0)
                    peer.Send(LikelyReply(request.Cookie, request.Offset, random));
                peer.Answer(request.Cookie, request.Type, request.Offset, request.Length, structured);
            }
        });
        DmaBuffer buffer = Buffer(4096);
        int done = 0;
        for (int round = 0; round < 100; round++)
        {
            for (int i = 0; i < 4; i++)
                Assert.True(Driver.TrySubmit(i % 2 == 0 ? BlockRequest.Read((ulong)i * 8, buffer) : BlockRequest.Write((ulong)i * 8, buffer), out _));
            done += WaitForAll(4).Count(result => result.IsDone);
        }

        Assert.Equal(0, _backend!.InFlight);
        Assert.InRange(done, 300, 400); // garbage can be an error that looks right
        Assert.Contains(_log.Lines, line => line.Contains("trying again", StringComparison.Ordinal));
    }

    [Fact]
    public void Nothing_is_allocated_for_a_request()
    {
        Open(peer =>
        {
            peer.Enter();
            peer.Serve();
        });
        DmaBuffer buffer = Buffer(4096);
        Run(300);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(1000);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                if (!Driver.TrySubmit((i & 1) == 0 ? BlockRequest.Read(0, buffer) : BlockRequest.Write(0, buffer), out _))
                    Assert.Fail("no room");
                Driver.Kick();
                BlockResult result;
                while (!Driver.TryTake(out result))
                {
                    _backend!.Pump(TimeSpan.FromSeconds(10));
                    _transport!.Host.Flush();
                }

                if (!result.IsDone)
                    Assert.Fail($"{result}");
            }
        }
    }

    [Theory]
    [InlineData("nbd://example.com/disk", "example.com", 10809, "disk", null)]
    [InlineData("nbd://example.com", "example.com", 10809, "", null)]
    [InlineData("nbd://example.com:1//disk", "example.com", 1, "/disk", null)]
    [InlineData("nbd://me@[::1]:77/hello%20world", "::1", 77, "hello world", null)]
    [InlineData("nbd+unix:///?socket=%2Ftmp%2Fn", null, 10809, "", "/tmp/n")]
    [InlineData("NBD+UNIX:///disk?socket=nbd.sock", null, 10809, "disk", "nbd.sock")]
    public void An_address_is_read_as_the_NBD_project_writes_it(string text, string? host, int port, string export, string? socket)
    {
        var uri = NbdUri.Parse(text);

        Assert.Equal((host, port, export, socket), (uri.Host, uri.Port, uri.Export, uri.SocketPath));
    }

    private static void Shake(Peer peer, string how)
    {
        switch (how)
        {
            case "nonsense":
                peer.Send(Text("SSH-2.0-OpenSSH_9.2p1 Debian-2"));
                return;
            case "oldstyle":
                peer.Send([.. "NBDMAGIC"u8, .. Big(0x00420281861253ul), .. new byte[136]]);
                return;
            case "closes":
                peer.Send([.. "NBDMAG"u8]);
                return;
        }

        peer.Greet(how == "not fixed" ? (ushort)2 : (ushort)3);
        peer.Option(8);
        if (how == "bad reply magic")
            peer.Send(new byte[20]);
        peer.Reply(how == "other option" ? 9u : 8u, 1, length: how == "long reply" ? uint.MaxValue : null);
        peer.Option(7);
        byte[] export = [0, 0, .. Big(how == "huge" ? ulong.MaxValue : DiskBytes), .. Big(how == "no flags" ? (ushort)0 : (ushort)1)];
        switch (how)
        {
            case "unknown export":
                peer.Reply(7, 1u << 31 | 6, Text("\x1bwho?\n"));
                peer.Option(2); // the client takes its leave
                break;
            case "tls":
                peer.Reply(7, 1u << 31 | 5);
                break;
            case "short info":
                peer.Reply(7, 3, [0]);
                break;
            case "odd blocks":
                peer.Reply(7, 3, [0, 3, .. Big(3u), .. Big(4096u), .. Big(65536u)]);
                break;
            case "endless info":
                for (int i = 0; i < 100; i++)
                    peer.Reply(7, 3, [0, 77]);
                break;
        }

        if (how != "no export info")
            peer.Reply(7, 3, export);
        peer.Reply(7, 1);
        peer.WaitForEnd();
    }

    private static void Lie(Peer peer, string how)
    {
        peer.Enter(structured: how is not ("magic" or "unknown cookie" or "other use of the cookie" or "unasked chunk" or "closes" or "shutdown"));
        var read = peer.Request();
        switch (how)
        {
            case "magic":
                peer.Send(new byte[16]);
                break;
            case "unknown cookie":
                peer.Simple(read.Cookie + 1);
                break;
            case "other use of the cookie":
                peer.Simple(read.Cookie + (1ul << 32));
                break;
            case "unasked chunk":
                peer.Chunk(read.Cookie, 1, 0, []);
                break;
            case "too much data":
                peer.Chunk(read.Cookie, 1, 1, [.. Big(read.Offset), .. Sevens(8192)]);
                break;
            case "data elsewhere":
                peer.Chunk(read.Cookie, 1, 1, [.. Big(read.Offset + 4096), .. Sevens(4096)]);
                break;
            case "too little data":
                peer.Chunk(read.Cookie, 1, 1, [.. Big(read.Offset), .. Sevens(2048)]);
                break;
            case "twice":
                peer.Chunk(read.Cookie, 0, 1, [.. Big(read.Offset), .. Sevens(4096)]);
                peer.Chunk(read.Cookie, 1, 1, [.. Big(read.Offset), .. Sevens(4096)]);
                break;
            case "half of it twice":
                peer.Chunk(read.Cookie, 0, 1, [.. Big(read.Offset), .. Sevens(2048)]);
                peer.Chunk(read.Cookie, 1, 1, [.. Big(read.Offset), .. Sevens(2048)]);
                break;
            case "an overlap":
                peer.Chunk(read.Cookie, 0, 1, [.. Big(read.Offset + 1024), .. Sevens(2048)]);
                peer.Chunk(read.Cookie, 0, 2, [.. Big(read.Offset), .. Big(1025u)]);
                peer.Chunk(read.Cookie, 1, 1, [.. Big(read.Offset + 3073), .. Sevens(1023)]);
                break;
            case "empty chunk":
                peer.Chunk(read.Cookie, 0, 1, Big(read.Offset));
                break;
            case "huge error":
                peer.Chunk(read.Cookie, 1, 0x8001, new byte[5000]);
                break;
            case "simple read":
                peer.Simple(read.Cookie, 0, Sevens(4096));
                break;
            case "shutdown":
                peer.Simple(read.Cookie, 108);
                break;
        }

        if (how != "closes")
            peer.WaitForEnd();
    }

    /// <summary>Bytes as a server may send them, with something wrong in them now and then.</summary>
    private static byte[] Likely(int count, Random random)
    {
        byte[] bytes = new byte[count];
        random.NextBytes(bytes);
        if (count != 20 || random.Next(50) == 0)
            return bytes;
        uint option = random.Next(2) == 0 ? 8u : 7u;
        uint type = random.Next(4) switch { 0 => 1u, 1 => 3u, 2 => 1u << 31 | (uint)random.Next(12), _ => (uint)random.Next(5) };
        return [.. Big(0x0003e889045565a9ul), .. Big(option), .. Big(type), .. Big((uint)random.Next(random.Next(10) == 0 ? 20_000 : 16))];
    }

    private static byte[] LikelyReply(ulong cookie, ulong offset, Random random)
    {
        byte[] body = [.. Big(offset + (ulong)random.Next(8) * 512), .. Big((uint)random.Next(9000)), .. new byte[random.Next(100)]];
        ulong name = random.Next(3) == 0 ? cookie ^ 1ul << random.Next(64) : cookie;
        return random.Next(4) switch
        {
            0 => [.. Big(0x67446698u), .. Big((uint)random.Next(3)), .. Big(name)],
            1 => [.. Big(0x668e33efu), .. Big((ushort)random.Next(2)), .. Big((ushort)random.Next(4)), .. Big(name), .. Big((uint)body.Length), .. body],
            2 => [.. Big(0x668e33efu), .. Big((ushort)random.Next(2)), .. Big((ushort)(0x8000 | random.Next(4))), .. Big(name), .. Big((uint)random.Next(9000)), .. body],
            _ => body,
        };
    }

    private void Open(params Action<Peer>[] conversations) => Open(new NbdBackendOptions(), conversations);

    private void Open(NbdBackendOptions options, params Action<Peer>[] conversations)
    {
        _server = new ScriptedNbd(conversations);
        Open(_server.Uri, options);
    }

    private void Open(NbdUri uri, NbdBackendOptions options)
    {
        _backend = NbdBackend.Connect(uri, options, _log);
        _transport = new LoopbackTransport(new BlockDevice(_backend), arenaBytes: 16 << 20);
        _driver = new BlockDriver(_transport);
    }

    private DmaBuffer Buffer(int bytes) => _transport!.Dma.Allocate(bytes, 512);

    private byte[] Read(ulong sector)
    {
        DmaBuffer buffer = Buffer(4096);
        Assert.True(Ask(BlockRequest.Read(sector, buffer)));
        return buffer.Span.ToArray();
    }

    private bool Ask(BlockRequest request)
    {
        Assert.True(Driver.TrySubmit(request, out _));
        return WaitForAll(1)[0].IsDone;
    }

    private List<BlockResult> WaitForAll(int count)
    {
        var results = new List<BlockResult>();
        Driver.Kick();
        for (int left = 600; results.Count < count && left > 0; left--)
        {
            while (Driver.TryTake(out BlockResult result))
                results.Add(result);
            if (results.Count == count)
                break;
            _backend!.Pump(TimeSpan.FromMilliseconds(50));
            _transport!.Host.Flush();
        }

        Assert.Equal(count, results.Count);
        return results;
    }
}
