using System.Net;
using System.Net.Sockets;
using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli.Tests;

/// <summary>Our driver on <c>vio serve blk --blk-uri</c> in front of real NBD servers, which fail, die and come back.</summary>
[Proves("Block device", "vhost-user")]
public sealed class NbdTests : IDisposable
{
    private const int Blocks = 1024, DiskBytes = Blocks * BlockLoad.BlockBytes;

    private readonly TemporaryDirectory _directory = new();

    private string Disk => _directory["disk"];

    private string Nbd => _directory["nbd"];

    private string Uri => $"nbd+unix:///disk?socket={Nbd}";

    public static TheoryData<string[]> Setups => new()
    {
        new[] { "file" },                                   // replies in chunks
        new[] { "--no-sr", "file" },                        // simple replies
        new[] { "--filter=fua", "file" },                   // a stable write is a write and a flush
        new[] { "--filter=nozero", "file" },
        new[] { "--filter=blocksize-policy", "file", "blocksize-minimum=4096", "blocksize-preferred=4096", "blocksize-maximum=8192", "blocksize-error-policy=error" },
        new[] { "--filter=delay", "file", "delay-read=2ms", "delay-write=1ms" }, // answers overtake each other
    };

    public void Dispose() => _directory.Dispose();

    [Theory]
    [MemberData(nameof(Setups))]
    public async Task What_is_written_is_on_the_server_and_what_is_on_the_server_is_read(string[] setup)
    {
        MakeDisk();
        string[] arguments = [.. setup, Disk];
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, arguments);

        await LoadAsync(Uri);
    }

    [Fact]
    public async Task The_server_of_another_project_is_served_as_well()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.QemuAsync(Nbd, Disk);

        await LoadAsync(Uri);
    }

    [Fact]
    public async Task Over_TCP_it_is_the_same()
    {
        MakeDisk();
        int port = FreePort();
        await using NbdServer server = await NbdServer.NbdkitAtPortAsync(_directory["pid"], port, "file", Disk);

        await LoadAsync($"nbd://127.0.0.1:{port}/");
    }

    [Fact]
    public async Task Requests_longer_than_the_server_takes_are_cut_and_zeroes_and_discards_reach_it()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "--filter=blocksize-policy", "--filter=nozero", "file", Disk,
            "blocksize-minimum=1024", "blocksize-preferred=4096", "blocksize-maximum=12288", "blocksize-error-policy=error");
        await using VioProcess vio = await ServeAsync(Uri);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);
        byte[] data = new byte[1 << 20], read = new byte[1 << 20];
        new Random(1).NextBytes(data);

        driver.Write(2, data);
        driver.WriteZeroes(10, 100);
        driver.Discard(1024, 64);
        driver.Flush();
        driver.Read(2, read);

        data.AsSpan(8 * 512, 100 * 512).Clear();
        Assert.Equal(1024, driver.Properties.BlockSize);
        Assert.Equal(data.AsSpan(0, 1022 * 512), read.AsSpan(0, 1022 * 512));
        Assert.Equal(data.AsSpan(1086 * 512), read.AsSpan(1086 * 512));
        Assert.Throws<BlockException>(() => driver.Write(1, new byte[512])); // half a block
    }

    [Theory]
    [InlineData("split")]
    [InlineData("packed")]
    public async Task A_server_that_is_killed_and_comes_back_costs_no_request(string format)
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri);
        using VhostUserFrontEnd frontEnd = Connect(format == "split" ? Features.RingPacked : Features.None);
        using var driver = new BlockDriver(frontEnd);
        var load = new BlockLoad(driver, frontEnd.Dma, Blocks, depth: 32, seed: 5);

        for (int kill = 0; kill < 5; kill++)
        {
            Task again = Task.Run(async () =>
            {
                await Task.Delay(kill * 7);
                await server.KillAsync();
                await server.StartAgainAsync("file", Disk);
            }, TestContext.Current.CancellationToken);
            try
            {
                while (!again.IsCompleted)
                    load.Step();
            }
            finally
            {
                await again; // or a server would be started that nobody ends
            }

            for (int before = load.Done; load.Done < before + 100;)
                load.Step();
        }

        load.Verify();
        Assert.Throws<BlockException>(driver.Flush); // nobody knows what the killed ones had not written
        driver.Flush();
        load.AssertFile(Disk);
        await vio.WaitForLogAsync("the server is back");
        await vio.WaitForLogAsync("may be lost with the connection");
    }

    /// <summary>nbdkit's cache filter keeps writes until they are flushed, and kill -9 takes them along.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_flushed_survives_a_server_that_loses_what_was_not(bool fua)
    {
        MakeDisk();
        await using NbdServer server = await ForgetfulAsync(fua);
        await using VioProcess vio = await ServeAsync(Uri);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);

        driver.Write(0, Filled(1));
        driver.Flush();
        driver.Write(8, Filled(2));
        await server.KillAsync();

        byte[] file = await File.ReadAllBytesAsync(Disk, TestContext.Current.CancellationToken);
        Assert.Equal(Filled(1), file[..4096]);
        Assert.Equal(new byte[4096], file[4096..8192]); // it does forget
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, true)]
    [InlineData(true, false)] // a driver without flush
    [InlineData(false, false)]
    public async Task Where_nobody_flushes_each_write_survives_that_was_answered(bool fua, bool writethrough)
    {
        MakeDisk();
        await using NbdServer server = await ForgetfulAsync(fua);
        await using VioProcess vio = await ServeAsync(Uri, "--cache", writethrough ? "writethrough" : "writeback");
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd, new() { Withheld = writethrough ? default : Spec.Block.BlockFeatures.Flush | Spec.Block.BlockFeatures.ConfigWriteback });

        driver.Write(0, Filled(1));
        driver.WriteZeroes(0, 1);
        await server.KillAsync();

        byte[] file = await File.ReadAllBytesAsync(Disk, TestContext.Current.CancellationToken);
        byte[] expected = Filled(1);
        expected.AsSpan(0, 512).Clear();
        Assert.Equal(expected, file[..4096]);
    }

    [Theory]
    [InlineData("EIO")]
    [InlineData("ENOSPC")]
    public async Task An_error_of_the_server_is_the_drivers_and_other_requests_go_on(string error)
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "--filter=error", "file", Disk, $"error={error}", "error-pwrite-rate=100%", $"error-file={_directory["fail"]}");
        await using VioProcess vio = await ServeAsync(Uri);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);

        File.WriteAllText(_directory["fail"], "");
        var failure = Assert.Throws<BlockException>(() => driver.Write(0, Filled(1)));
        driver.Read(0, new byte[4096]);
        File.Delete(_directory["fail"]);
        driver.Write(0, Filled(1));
        driver.Flush();

        Assert.Equal(BlockOutcome.IoError, failure.Result.Outcome);
    }

    [Fact]
    public async Task A_server_that_does_not_answer_is_an_error_after_a_while_and_the_next_request_finds_it_again()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri, "--blk-timeout", "0.3");
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);

        server.Freeze();
        Assert.Throws<BlockException>(() => driver.Read(0, new byte[4096]));
        Assert.Throws<BlockException>(() => driver.Read(0, new byte[4096])); // also while there is no connection
        server.Thaw();
        await vio.WaitForLogAsync("the server is back");
        driver.Read(0, new byte[4096]);

        await vio.WaitForLogAsync("no answer within 0.3 s");
    }

    [Fact]
    public async Task The_time_of_a_request_is_watched_as_well_when_the_server_has_just_come_back()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri, "--blk-timeout", "0.3");
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);
        await server.KillAsync();
        await server.StartAgainAsync("--filter=delay", "file", Disk, "delay-read=4");
        await vio.WaitForLogAsync("the server is back");

        Assert.Throws<BlockException>(() => driver.Read(0, new byte[4096])); // which would be answered, later
    }

    /// <summary>For ever is not meant for who stops: the loop would stand still with all queues.</summary>
    [Fact]
    public async Task A_server_that_is_connected_and_silent_holds_up_neither_a_driver_that_leaves_nor_the_next()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri, "--num-queues", "2", "--blk-timeout", "0", "--control-path", _directory["ctl"]);
        using (VhostUserFrontEnd frontEnd = Connect())
        using (var driver = new BlockDriver(frontEnd))
        {
            HoldOneRead(server, driver, frontEnd, queues: 2);
        }

        await vio.WaitForLogAsync("a queue stops, and the server does not answer");
        Assert.Equal(0, (await VioProcess.RunAsync("ctl", "status", "--control-path", _directory["ctl"])).ExitCode);
        await server.KillAsync(); // nbdkit does not always survive what it finds when it is thawed
        await server.StartAgainAsync("file", Disk);
        using VhostUserFrontEnd next = Connect();
        using var again = new BlockDriver(next);
        again.Write(0, Filled(3));
        again.Flush();
        Assert.Equal(Filled(3), File.ReadAllBytes(Disk)[..4096]);
    }

    [Fact]
    public async Task With_the_server_connected_and_silent_the_daemon_still_ends_by_a_signal()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri, "--blk-timeout", "0");
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);
        HoldOneRead(server, driver, frontEnd, queues: 1);

        Assert.Equal(0, (await vio.EndByAsync(VioProcess.SigTerm)).ExitCode);
    }

    /// <summary>A front-end that keeps the in-flight region loses nothing: as with kill -9, but the daemon has tidied up.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_daemon_that_ends_by_a_signal_had_under_way_is_done_by_the_next(bool isFrozen)
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess first = await ServeAsync(Uri, "--control-path", _directory["ctl"]);
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(_directory["s"], DeviceId.Block, new() { ReconnectTimeout = TimeSpan.FromSeconds(60) });
        using var driver = new BlockDriver(frontEnd, new() { MaxQueues = 1 });
        driver.Read(0, new byte[4096]);
        if (isFrozen)
            server.Freeze();
        else
            await server.KillAsync();
        DmaBuffer data = frontEnd.Dma.Allocate(8 * 4096, 4096);
        new Random(8).NextBytes(data.Span);
        for (int i = 0; i < 8; i++)
            Assert.True(driver.TrySubmit(BlockRequest.Write((ulong)i * 8, data.Slice(i * 4096, 4096)), out _));
        Assert.True(driver.TrySubmit(BlockRequest.Flush(), out _));
        driver.Kick();
        while (!(await VioProcess.RunAsync("ctl", "status", "--control-path", _directory["ctl"], "--format", "json")).Output.Contains("\"inFlight\":9", StringComparison.Ordinal))
            await Task.Delay(5, TestContext.Current.CancellationToken);

        Assert.Equal(0, (await first.EndByAsync(VioProcess.SigTerm)).ExitCode);
        if (isFrozen)
            await server.KillAsync();
        await server.StartAgainAsync("file", Disk);
        await using VioProcess second = await ServeAsync(Uri);

        for (int i = 0; i < 9; i++)
        {
            Assert.True(driver.Wait(TimeSpan.FromSeconds(30), out BlockResult result));
            result.ThrowIfFailed();
        }

        Assert.Equal(data.Span, File.ReadAllBytes(Disk).AsSpan(0, 8 * 4096));
    }

    [Fact]
    public async Task An_export_that_comes_back_longer_is_a_longer_disk_and_one_that_is_shorter_is_not_taken()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);

        await server.KillAsync();
        Resize(DiskBytes * 2);
        await server.StartAgainAsync("file", Disk);
        await vio.WaitForLogAsync("the server is back");
        while (!driver.CheckConfiguration())
            await Task.Delay(5, TestContext.Current.CancellationToken);
        Assert.Equal(DiskBytes * 2ul / 512, driver.Capacity);

        await server.KillAsync();
        Resize(DiskBytes);
        await server.StartAgainAsync("file", Disk);
        await vio.WaitForLogAsync("the export came back as another");
        await server.KillAsync();
        Resize(DiskBytes * 2);
        await server.StartAgainAsync("file", Disk);
        driver.Read(DiskBytes / 512, new byte[4096]);
    }

    [Fact]
    public async Task A_read_only_export_is_a_read_only_disk()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "-r", "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);

        driver.Read(0, new byte[4096]);

        Assert.True(driver.Properties.IsReadOnly);
    }

    [Fact]
    public async Task With_the_server_away_the_daemon_still_ends_by_a_signal_and_a_driver_can_leave()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri);
        using (VhostUserFrontEnd frontEnd = Connect())
        using (var driver = new BlockDriver(frontEnd))
        {
            driver.Read(0, new byte[4096]);
            await server.KillAsync();
        }

        Assert.Equal(0, (await vio.EndByAsync(VioProcess.SigTerm)).ExitCode);
    }

    [Fact]
    public async Task A_driver_that_leaves_with_requests_under_way_while_the_server_is_away_makes_room_for_the_next()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess vio = await ServeAsync(Uri, "--num-queues", "2");
        using (VhostUserFrontEnd frontEnd = Connect())
        using (var driver = new BlockDriver(frontEnd))
        {
            driver.Read(0, new byte[4096]);
            await server.KillAsync();
            for (int queue = 0; queue < 2; queue++)
            {
                Assert.True(driver.TrySubmit(BlockRequest.Read(0, frontEnd.Dma.Allocate(4096, 4096)), out _, queue));
                Assert.True(driver.TrySubmit(BlockRequest.Flush(), out _, queue));
            }

            driver.Kick();
        }

        await server.StartAgainAsync("file", Disk);
        using VhostUserFrontEnd next = Connect();
        using var again = new BlockDriver(next);
        again.Write(0, Filled(3));
        again.Flush();
        Assert.Equal(Filled(3), File.ReadAllBytes(Disk)[..4096]);
    }

    [Fact]
    public async Task Requests_that_wait_for_a_server_which_is_away_move_to_the_daemon_that_takes_over()
    {
        MakeDisk();
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "file", Disk);
        await using VioProcess first = await ServeAsync(Uri, "--control-path", _directory["ctl"]);
        await using VioProcess second = await VioProcess.ServeAsync("blk", _directory["t"], "--blk-uri", Uri);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd, new() { MaxQueues = 1 });
        await server.KillAsync();
        DmaBuffer data = frontEnd.Dma.Allocate(8 * 4096, 4096);
        new Random(8).NextBytes(data.Span);
        for (int i = 0; i < 8; i++)
            Assert.True(driver.TrySubmit(BlockRequest.Write((ulong)i * 8, data.Slice(i * 4096, 4096)), out _));
        driver.Kick();
        while (!(await VioProcess.RunAsync("ctl", "status", "--control-path", _directory["ctl"], "--format", "json")).Output.Contains("\"inFlight\":8", StringComparison.Ordinal))
            await Task.Delay(5, TestContext.Current.CancellationToken);

        frontEnd.MoveTo(_directory["t"]);
        await server.StartAgainAsync("file", Disk);

        for (int i = 0; i < 8; i++)
        {
            Assert.True(driver.Wait(TimeSpan.FromSeconds(30), out BlockResult result));
            result.ThrowIfFailed();
        }

        Assert.Equal(data.Span, File.ReadAllBytes(Disk).AsSpan(0, 8 * 4096));
    }

    [Theory]
    [InlineData(2, "TLS is not implemented", "nbds://localhost/disk")]
    [InlineData(2, "TLS is not implemented", "nbds+unix:///disk?socket=/x")]
    [InlineData(2, "nbd://HOST[:PORT]/EXPORT", "disk.img")]
    [InlineData(2, "?socket=PATH is missing", "nbd+unix:///disk")]
    [InlineData(2, "'tls-type' is not known", "nbd://localhost/disk?tls-type=psk")]
    [InlineData(2, "is no port", "nbd://localhost:70000/disk")]
    [InlineData(1, "no such file or directory", "nbd+unix:///disk?socket=/nowhere/nbd")]
    public async Task An_address_that_is_none_is_told_on_one_line(int exitCode, string part, string uri)
    {
        Refusals.AssertOneLine(await VioProcess.RunAsync("serve", "blk", "--socket-path", _directory["s"], "--blk-uri", uri), exitCode, uri, part);
    }

    [Fact]
    public async Task An_export_that_is_not_there_is_told_with_the_servers_words()
    {
        await using NbdServer server = await NbdServer.NbdkitAsync(Nbd, "--filter=exportname", "memory", "1M", "exportname-strict=true", "exportname=one");

        Ending end = await VioProcess.RunAsync("serve", "blk", "--socket-path", _directory["s"], "--blk-uri", Uri);

        Assert.Equal(1, end.ExitCode);
        Assert.Contains("export 'disk': the server", end.Errors, StringComparison.Ordinal);
    }

    /// <summary>Freezes the server, and has a read and a flush of each queue under way with it.</summary>
    private static void HoldOneRead(NbdServer server, BlockDriver driver, VhostUserFrontEnd frontEnd, int queues)
    {
        driver.Read(0, new byte[4096]);
        server.Freeze();
        for (int queue = 0; queue < queues; queue++)
        {
            Assert.True(driver.TrySubmit(BlockRequest.Read(0, frontEnd.Dma.Allocate(4096, 4096)), out _, queue));
            Assert.True(driver.TrySubmit(BlockRequest.Flush(), out _, queue));
        }

        driver.Kick();
    }

    private async Task LoadAsync(string uri)
    {
        await using VioProcess vio = await ServeAsync(uri, "--num-queues", "2");
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);
        var load = new BlockLoad(driver, frontEnd.Dma, Blocks, depth: 48, seed: 3);
        while (load.Done < 1500)
            load.Step();
        load.Verify();
        driver.Flush();
        load.AssertFile(Disk);
    }

    private Task<NbdServer> ForgetfulAsync(bool fua) =>
        NbdServer.NbdkitAsync(Nbd, [.. fua ? Array.Empty<string>() : ["--filter=fua"], "--filter=cache", "file", Disk, "cache=writeback"]);

    private Task<VioProcess> ServeAsync(string uri, params string[] options) => VioProcess.ServeAsync("blk", _directory["s"], ["--blk-uri", uri, .. options]);

    private VhostUserFrontEnd Connect(FeatureSet withheld = default) =>
        VhostUserFrontEnd.Connect(_directory["s"], DeviceId.Block, new() { WithheldFeatures = withheld });

    private void MakeDisk() => File.WriteAllBytes(Disk, new byte[DiskBytes]);

    private void Resize(long bytes)
    {
        using FileStream file = File.OpenWrite(Disk);
        file.SetLength(bytes);
    }

    private static byte[] Filled(byte value)
    {
        byte[] bytes = new byte[4096];
        bytes.AsSpan().Fill(value);
        return bytes;
    }

    private static int FreePort()
    {
        using var probe = new TcpListener(IPAddress.Loopback, 0);
        probe.Start();
        return ((IPEndPoint)probe.LocalEndpoint).Port;
    }
}
