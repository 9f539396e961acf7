using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>Our block driver and our vhost-user front-end against QEMU's storage daemon: no VM between them.</summary>
[Proves("Block driver", Column)]
[Proves("Front-end for drivers", Column)]
public sealed class StorageDaemonTests
{
    private const string Column = "qemu-storage-daemon 7.2";
    private const int Sectors = 8192;

    public static TheoryData<ProtocolFeatures> Withheld =>
    [
        ProtocolFeatures.None,
        ProtocolFeatures.Mq,
        ProtocolFeatures.ReplyAck,
        ProtocolFeatures.BackEndReq,
        ProtocolFeatures.ConfigureMemSlots,
        ProtocolFeatures.Mq | ProtocolFeatures.ReplyAck | ProtocolFeatures.BackEndReq | ProtocolFeatures.ConfigureMemSlots,
    ];

    [Theory]
    [MemberData(nameof(Withheld))]
    public async Task What_is_written_is_in_the_file_and_what_is_in_the_file_is_read(ProtocolFeatures withheld)
    {
        await using StorageDaemon daemon = await StorageDaemon.StartAsync(Sectors, ",writable=on,num-queues=4");
        using VhostUserFrontEnd frontEnd = daemon.Connect(new() { Withheld = withheld });
        using var driver = new BlockDriver(frontEnd, new() { MaxQueues = frontEnd.QueueCount });

        byte[] model = Scribble.Over(driver, Sectors, unit: 1, usual: 32, longest: 1024);

        Assert.True(model.AsSpan().SequenceEqual(File.ReadAllBytes(daemon.Disk)));
        Assert.Equal((ulong)Sectors, driver.Capacity);
        Assert.Equal((withheld & ProtocolFeatures.Mq) == 0 ? 4 : 1, driver.QueueCount);
        Assert.Equal("vhost_user_blk", driver.ReadId());
    }

    [Fact]
    public async Task Requests_are_in_flight_in_four_queues_at_once_in_two_sessions_one_after_the_other()
    {
        await using StorageDaemon daemon = await StorageDaemon.StartAsync(Sectors, ",writable=on,num-queues=4");
        for (int session = 0; session < 2; session++)
        {
            using VhostUserFrontEnd frontEnd = daemon.Connect();
            using var driver = new BlockDriver(frontEnd);
            DmaBuffer data = frontEnd.Dma.Allocate(256 * 4096);
            new Random(session).NextBytes(data.Span);
            byte[] written = data.Span.ToArray();

            RunAll(driver, 256, i => BlockRequest.Write((ulong)i * 8, data.Slice(i * 4096, 4096)));
            data.Span.Clear();
            RunAll(driver, 256, i => BlockRequest.Read((ulong)i * 8, data.Slice(i * 4096, 4096)));

            Assert.Equal(4, driver.QueueCount);
            Assert.True(data.Span.SequenceEqual(written));
        }
    }

    [Fact]
    public async Task Discard_and_zeroes_reach_the_backing_file()
    {
        await using StorageDaemon daemon = await StorageDaemon.StartAsync(Sectors, ",writable=on");
        using VhostUserFrontEnd frontEnd = daemon.Connect();
        using var driver = new BlockDriver(frontEnd);
        byte[] data = new byte[1024 * 512];
        data.AsSpan().Fill(0xEE);
        driver.Write(0, data);

        driver.WriteZeroes(16, 100);
        driver.WriteZeroes(256, 256, mayUnmap: true);
        driver.Discard(512, 256);
        driver.Flush();

        byte[] file = await File.ReadAllBytesAsync(daemon.Disk, TestContext.Current.CancellationToken);
        data.AsSpan(16 * 512, 100 * 512).Clear();
        data.AsSpan(256 * 512, 256 * 512).Clear();
        Assert.True(file.AsSpan(0, 512 * 512).SequenceEqual(data.AsSpan(0, 512 * 512)));
        Assert.True(file.AsSpan(768 * 512, 256 * 512).SequenceEqual(data.AsSpan(768 * 512)));
    }

    [Fact]
    public async Task A_read_only_export_says_so()
    {
        await using StorageDaemon daemon = await StorageDaemon.StartAsync(Sectors);
        using VhostUserFrontEnd frontEnd = daemon.Connect();
        using var driver = new BlockDriver(frontEnd);

        driver.Read(0, new byte[4096]);

        Assert.True(driver.Properties.IsReadOnly);
    }

    [Fact]
    public async Task Without_CONFIG_a_disk_is_refused_with_the_reason()
    {
        await using StorageDaemon daemon = await StorageDaemon.StartAsync(Sectors);
        using VhostUserFrontEnd frontEnd = daemon.Connect(new() { Withheld = ProtocolFeatures.Config });

        var refused = Assert.Throws<VhostUserException>(() => new BlockDriver(frontEnd));

        Assert.Equal((VhostUserFailure.Lacking, FrontEndRequest.GetConfig), (refused.Failure, refused.Request));
    }

    /// <summary>Writes overtake the slow reads, so what is in flight when the daemon dies is not the end of the available ring.</summary>
    [Fact]
    [Proves("Reconnect", Column)]
    public async Task What_was_in_flight_when_the_daemon_was_killed_is_done_once_by_the_next_one()
    {
        await using StorageDaemon daemon = await StorageDaemon.StartAsync(Sectors, ",writable=on,num-queues=2", readsPerSecond: 40);
        using VhostUserFrontEnd frontEnd = daemon.Connect(new() { ReconnectTimeout = Rig.Patience });
        using var driver = new BlockDriver(frontEnd);
        const int Blocks = 60;
        DmaBuffer read = frontEnd.Dma.Allocate(Blocks * 512, 512), written = frontEnd.Dma.Allocate(Blocks * 512, 512);
        byte[] contents = new byte[Blocks * 512];
        new Random(3).NextBytes(contents);
        driver.Write(0, contents);
        new Random(4).NextBytes(written.Span);
        for (int i = 0; i < Blocks; i++)
        {
            Assert.True(driver.TrySubmit(BlockRequest.Read((ulong)i, read.Slice(i * 512, 512)), out _));
            Assert.True(driver.TrySubmit(BlockRequest.Write((ulong)(Blocks + i), written.Slice(i * 512, 512)), out _));
        }

        HashSet<ulong> done = [];
        int reads = 0;
        for (int restarts = 0; done.Count < 2 * Blocks;)
        {
            Assert.True(driver.Wait(Rig.Patience, out BlockResult result), $"{done.Count} of {2 * Blocks} requests came back");
            result.ThrowIfFailed();
            Assert.True(done.Add(result.Token.Number), $"request {result.Token.Number} came back twice");
            reads += result.Sector < Blocks ? 1 : 0;
            if (restarts < 2 && done.Count > Blocks * (restarts + 1) / 2)
            {
                restarts++;
                Assert.True(reads < Blocks); // some were in flight
                await daemon.KillAndRestartAsync();
            }
        }

        Assert.Equal(contents, read.Span);
        Assert.Equal(written.Span, File.ReadAllBytes(daemon.Disk).AsSpan(Blocks * 512, Blocks * 512));
    }

    private static void RunAll(BlockDriver driver, int count, Func<int, BlockRequest> request)
    {
        HashSet<ulong> numbers = [];
        for (int submitted = 0; numbers.Count < count;)
        {
            while (submitted < count && driver.TrySubmit(request(submitted), out _))
                submitted++;
            Assert.True(driver.Wait(Rig.Patience, out BlockResult result));
            result.ThrowIfFailed();
            Assert.True(numbers.Add(result.Token.Number));
        }
    }
}
