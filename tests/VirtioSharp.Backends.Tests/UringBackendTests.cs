using System.Globalization;
using VirtioSharp.Backends.Block;
using VirtioSharp.Backends.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Loopback;

namespace VirtioSharp.Backends.Tests;

/// <summary>A real file by way of a real io_uring: many requests under way, ended in whatever order, none lost and none twice.</summary>
[Proves("Block device", "loopback")]
public sealed class UringBackendTests : IDisposable
{
    private const int Blocks = 1024, BlockBytes = 4096;

    private readonly TemporaryDirectory _directory = new();
    private readonly CapturedLog _log = new();
    private readonly byte[] _model = new byte[Blocks * BlockBytes];
    private StorageFile? _file;
    private UringBackend? _backend;
    private LoopbackTransport? _transport;
    private BlockDriver? _driver;

    public UringBackendTests()
    {
        new Random(9).NextBytes(_model);
        File.WriteAllBytes(Path, _model);
    }

    private string Path => _directory["disk"];

    private BlockDriver Driver => _driver!;

    public void Dispose()
    {
        _driver?.Dispose();
        _transport?.Dispose();
        _backend?.Dispose();
        _directory.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Sixty_requests_at_once_read_and_write_what_they_should(bool direct)
    {
        Open(direct);
        DmaBuffer[] buffers = [.. Enumerable.Range(0, 60).Select(_ => _transport!.Dma.Allocate(BlockBytes, BlockBytes))];
        var random = new Random(3);
        for (int round = 0; round < 20; round++)
        {
            int[] places = [.. Enumerable.Range(0, Blocks).OrderBy(_ => random.Next()).Take(buffers.Length)]; // no block twice
            bool[] writes = [.. places.Select(_ => random.Next(2) == 0)];
            for (int i = 0; i < buffers.Length; i++)
            {
                random.NextBytes(buffers[i].Span);
                if (writes[i])
                    buffers[i].Span.CopyTo(_model.AsSpan(places[i] * BlockBytes));
                ulong sector = (ulong)places[i] * 8;
                Assert.True(Driver.TrySubmit(writes[i] ? BlockRequest.Write(sector, buffers[i]) : BlockRequest.Read(sector, buffers[i]), out _));
            }

            Assert.All(WaitForAll(buffers.Length), result => Assert.True(result.IsDone, $"{result}"));

            for (int i = 0; i < buffers.Length; i++)
                Assert.True(buffers[i].Span.SequenceEqual(_model.AsSpan(places[i] * BlockBytes, BlockBytes)), $"round {round}, request {i}");
        }

        Assert.True(_model.AsSpan().SequenceEqual(File.ReadAllBytes(Path)));
        Assert.Equal(0, _backend!.InFlight);
    }

    [Fact]
    public void Every_kind_of_request_ends_and_odd_pieces_past_the_page_cache_do_too()
    {
        Open(direct: true);
        DmaBuffer odd = _transport!.Dma.Allocate(513, 4096).Slice(1, 512);
        odd.Span.Fill(7);

        Assert.True(Ask(BlockRequest.Write(3, odd)));
        Assert.True(Ask(BlockRequest.WriteZeroes(8, 8)));
        Assert.True(Ask(BlockRequest.Discard(16, 8)));
        Assert.True(Ask(BlockRequest.Flush()));
        odd.Span.Clear();
        Assert.True(Ask(BlockRequest.Read(3, odd)));

        Assert.Equal(Enumerable.Repeat((byte)7, 512), odd.Span.ToArray());
        byte[] file = File.ReadAllBytes(Path);
        Assert.Equal(new byte[8192], file[4096..12288]);
        Assert.Equal(_model[..1536], file[..1536]);
    }

    [Fact]
    public void Zeroes_which_may_rewrite_whole_blocks_wait_for_the_writes_before_them()
    {
        Open(direct: true);
        DmaBuffer buffer = _transport!.Dma.Allocate(BlockBytes, BlockBytes);
        Assert.True(Driver.TrySubmit(BlockRequest.Write(0, buffer), out _));
        Assert.True(Driver.TrySubmit(BlockRequest.WriteZeroes(1, 2), out _));

        Driver.Kick();

        Assert.Equal(0, _backend!.InFlight);
        Assert.All(WaitForAll(2), result => Assert.True(result.IsDone));
    }

    [Fact]
    public void More_than_the_ring_holds_goes_on_all_the_same()
    {
        Open(direct: false, queueSize: 1024);
        DmaBuffer buffer = _transport!.Dma.Allocate(BlockBytes, BlockBytes);
        for (int i = 0; i < 300; i++)
            Assert.True(Driver.TrySubmit(BlockRequest.Read(0, buffer), out _)); // 256 are begun at a time

        Assert.All(WaitForAll(300), result => Assert.True(result.IsDone));
        Assert.True(buffer.Span.SequenceEqual(_model.AsSpan(0, BlockBytes)));
    }

    [Fact]
    public void What_the_file_does_not_have_any_more_fails_and_the_rest_goes_on()
    {
        Open(direct: false);
        DmaBuffer buffer = _transport!.Dma.Allocate(BlockBytes, BlockBytes);
        using (FileStream file = new(Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(BlockBytes + 512);

        Assert.False(Ask(BlockRequest.Read(8, buffer))); // a part of it is there
        Assert.False(Ask(BlockRequest.Read(16, buffer)));

        Assert.Single(_log.Lines);
        Assert.True(Ask(BlockRequest.Read(0, buffer)));
    }

    [Fact]
    public void After_a_flush_that_failed_none_succeeds()
    {
        Open(direct: false);

        using (OtherFile.Pipe(_file!.Descriptor.Number))
            Assert.False(Ask(BlockRequest.Flush()));

        Assert.False(Ask(BlockRequest.Flush()));
        Assert.True(Ask(BlockRequest.Read(0, _transport!.Dma.Allocate(BlockBytes, BlockBytes))));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Of_flushes_at_once_one_is_with_the_kernel_and_its_failure_is_that_of_the_others(bool fails)
    {
        Open(direct: false);
        for (int i = 0; i < 5; i++)
            Assert.True(Driver.TrySubmit(BlockRequest.Flush(), out _));
        Driver.Kick();
        Assert.Equal(1, _backend!.InFlight);

        if (fails)
        {
            using (OtherFile.Pipe(_file!.Descriptor.Number))
                _backend.Pump(wait: true); // only the first one meets it
        }

        Assert.All(WaitForAll(5), result => Assert.Equal(!fails, result.IsDone));
        Assert.Equal(0, _backend.InFlight);
    }

    [Fact]
    public void A_flush_is_not_answered_before_the_stable_writes_beside_it_and_fails_with_them()
    {
        Open(direct: false);
        DmaBuffer buffer = _transport!.Dma.Allocate(BlockBytes, BlockBytes);
        Driver.SetWriteback(false);
        Assert.True(Driver.TrySubmit(BlockRequest.Write(0, buffer), out _));
        Assert.True(Driver.TrySubmit(BlockRequest.Flush(), out _));
        Driver.Kick();

        using (OtherFile.ReadOnly(_file!.Descriptor.Number, Path)) // can be flushed, and not written to
        {
            while (_backend!.InFlight > 0)
                _backend.Pump(wait: true);
        }

        Assert.All(WaitForAll(2), result => Assert.False(result.IsDone));
        Assert.False(Ask(BlockRequest.Flush()));
    }

    [Fact]
    public void What_the_ring_will_not_wait_for_is_done_without_it_and_not_tried_for_ever()
    {
        Open(direct: false);
        DmaBuffer buffer = _transport!.Dma.Allocate(1024, BlockBytes);
        Assert.True(Driver.TrySubmit(BlockRequest.Read(0, buffer), out _));
        Driver.Kick();

        using (OtherFile.NonBlocking(_file!.Descriptor.Number))
        {
            for (int round = 0; round < 100 && _backend!.InFlight > 0; round++)
                _backend.Pump();
        }

        Assert.Equal(0, _backend!.InFlight);
        Assert.True(WaitForAll(1)[0].IsDone);
        Assert.True(buffer.Span.IndexOf("Size:"u8) > 0);
    }

    [Fact]
    public void Where_the_kernel_refuses_the_ring_requests_are_served_without_it()
    {
        Open(direct: false);
        DmaBuffer buffer = _transport!.Dma.Allocate(BlockBytes, BlockBytes);
        using (OtherFile.Pipe(Assert.Single(RingsOfThisProcess()))) // io_uring_enter: EOPNOTSUPP
        {
            for (ulong block = 0; block < 2; block++)
                Assert.True(Driver.TrySubmit(BlockRequest.Read(block * 8, buffer), out _));
            Assert.True(Driver.TrySubmit(BlockRequest.Flush(), out _));

            Assert.All(WaitForAll(3), result => Assert.True(result.IsDone));
        }

        Assert.StartsWith("Warning: io_uring_enter", Assert.Single(_log.Lines), StringComparison.Ordinal);
        Assert.True(Ask(BlockRequest.Read(0, buffer)));
        Assert.True(buffer.Span.SequenceEqual(_model.AsSpan(0, BlockBytes)));
    }

    [Fact]
    public void A_file_that_is_refused_leaves_no_ring_behind()
    {
        using (FileStream odd = new(Path, FileMode.Open))
            odd.SetLength(BlockBytes + 100);
        using var file = StorageFile.Open(Path, new StorageMode(Writable: true, Direct: true));

        Assert.Throws<ArgumentException>(() => new UringBackend(file));

        Assert.Empty(RingsOfThisProcess());
    }

    [Fact]
    public void A_reset_waits_for_what_is_under_way()
    {
        Open(direct: false);
        DmaBuffer buffer = _transport!.Dma.Allocate(BlockBytes, BlockBytes);
        Assert.True(Driver.TrySubmit(BlockRequest.Read(8, buffer), out _));
        Driver.Kick();
        Assert.Equal(1, _backend!.InFlight);

        _transport.WriteStatus(DeviceStatus.Reset);

        Assert.Equal(0, _backend.InFlight);
        Assert.True(buffer.Span.SequenceEqual(_model.AsSpan(BlockBytes, BlockBytes)));
    }

    [Fact]
    public void Nothing_is_allocated_for_a_request()
    {
        Open(direct: false);
        DmaBuffer buffer = _transport!.Dma.Allocate(BlockBytes, BlockBytes);
        Run(500);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(2000);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Run(int count)
        {
            for (int i = 0; i < count; i++)
            {
                ulong sector = (ulong)(i % Blocks) * 8;
                if (!Driver.TrySubmit((i & 1) == 0 ? BlockRequest.Read(sector, buffer) : BlockRequest.Write(sector, buffer), out _))
                    Assert.Fail("no room");
                Driver.Kick();
                BlockResult result;
                while (!Driver.TryTake(out result))
                {
                    _backend!.Pump(wait: true);
                    _transport!.Host.Flush();
                }

                if (!result.IsDone)
                    Assert.Fail($"{result}");
            }
        }
    }

    private void Open(bool direct, int queueSize = 256)
    {
        StorageFile file = _file = StorageFile.Open(Path, new StorageMode(Writable: true, direct));
        try
        {
            _backend = new UringBackend(file, _log);
        }
        catch (LinuxException refused) when (refused.Call == "io_uring_setup")
        {
            file.Dispose();
            Assert.Skip(refused.Message);
        }

        _transport = new LoopbackTransport(new BlockDevice(_backend!), arenaBytes: 16 << 20);
        _driver = new BlockDriver(_transport, new BlockDriverOptions { QueueSize = queueSize });
    }

    private static int[] RingsOfThisProcess() =>
    [
        .. Directory.GetFiles("/proc/self/fd").Where(fd => new FileInfo(fd).LinkTarget == "anon_inode:[io_uring]")
            .Select(fd => int.Parse(System.IO.Path.GetFileName(fd), CultureInfo.InvariantCulture)),
    ];

    private bool Ask(BlockRequest request)
    {
        Assert.True(Driver.TrySubmit(request, out _));
        return WaitForAll(1)[0].IsDone;
    }

    private List<BlockResult> WaitForAll(int count)
    {
        var results = new List<BlockResult>();
        Driver.Kick();
        while (results.Count < count)
        {
            while (Driver.TryTake(out BlockResult result))
                results.Add(result);
            _backend!.Pump(wait: true);
            _transport!.Host.Flush();
        }

        return results;
    }
}
