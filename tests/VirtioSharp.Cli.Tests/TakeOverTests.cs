using System.Text.Json;
using VirtioSharp.Backends.Block;
using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.Cli.Tests;

/// <summary>A disk moves from one back-end to another one, a real daemon, with requests in flight.</summary>
public sealed class TakeOverTests : IDisposable
{
    private const int Requests = 16, Bytes = 4096;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Proves("GET_VRING_BASE_INFLIGHT", "vhost-user")]
    public async Task Requests_in_flight_are_left_to_the_daemon_that_takes_over_and_done_there_once(bool packed)
    {
        (int here, JsonElement there) = await MoveAsync(packed, withheld: ProtocolFeatures.None);

        Assert.Equal((0, Requests), (here, there.GetProperty("counts").GetProperty("chains").GetInt32()));
    }

    [Theory]
    [InlineData(false, ProtocolFeatures.GetVringBaseInflight)]
    [InlineData(true, ProtocolFeatures.GetVringBaseInflight)]
    [InlineData(false, ProtocolFeatures.InflightShmfd)]
    [InlineData(true, ProtocolFeatures.InflightShmfd)]
    public async Task Without_that_feature_they_are_completed_first(bool packed, ProtocolFeatures withheld)
    {
        (int here, JsonElement there) = await MoveAsync(packed, withheld);

        Assert.Equal((Requests, 0), (here, there.GetProperty("counts").GetProperty("chains").GetInt32()));
    }

    [Theory]
    [InlineData("split", "sync")]
    [InlineData("packed", "sync")]
    [InlineData("split", "io_uring")]
    [InlineData("packed", "io_uring")]
    [Proves("GET_VRING_BASE_INFLIGHT", "vhost-user")]
    [Proves("DEVICE_STATE", "vhost-user")]
    public async Task A_disk_moves_between_two_daemons_under_load_and_is_what_was_written_to_it(string format, string engine)
    {
        const int Blocks = 1024, Moves = 50;
        string disk = _directory["disk"];
        await using (FileStream file = File.Create(disk))
            file.SetLength(Blocks * BlockLoad.BlockBytes);
        await using VioProcess first = Serve("first"), second = Serve("second");
        await first.WaitForLogAsync("listening on");
        await second.WaitForLogAsync("listening on");
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(_directory["first"], DeviceId.Block, new() { WithheldFeatures = format == "split" ? Features.RingPacked : Features.None });
        using var driver = new BlockDriver(frontEnd, new() { MaxQueues = 2 });
        Assert.Equal(format == "packed", driver.NegotiatedFeatures.Has(Features.RingPacked));
        driver.SetWriteback(false);
        var load = new BlockLoad(driver, frontEnd.Dma, Blocks, depth: 32, seed: 5);

        for (int move = 0; move < Moves; move++)
        {
            int before = load.Done;
            while (load.Done < before + 20)
                load.Step();
            frontEnd.MoveTo(_directory[move % 2 == 0 ? "second" : "first"]);
        }

        load.Verify();
        Assert.False(driver.IsWriteback);
        load.AssertFile(disk);
        Assert.DoesNotMatch("(?m)^.*(fail|connection closed).*$", first.Errors + second.Errors);

        VioProcess Serve(string socket) => VioProcess.Start(
            "serve", "blk", "--socket-path", _directory[socket], "--blk-file", disk, "--shared", "--num-queues", "2", "--aio", engine, "--cache", engine == "sync" ? "writeback" : "none");
    }

    [Fact]
    [Proves("INBAND_NOTIFICATIONS", "vhost-user")]
    public async Task A_daemon_that_was_told_to_is_driven_without_eventfds()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["rng"], "--with", "InbandNotifications", "--report", _directory["report"]);
        using (VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(_directory["rng"], DeviceId.Entropy, new() { Added = ProtocolFeatures.InbandNotifications }))
        using (var driver = new Drivers.Rng.RngDriver(frontEnd))
            Assert.Equal(100_000, driver.Read(new byte[100_000], TimeSpan.FromSeconds(30)));

        Assert.True(SpinWait.SpinUntil(() => File.Exists(_directory["report"]), TimeSpan.FromSeconds(30)));
        using JsonDocument report = JsonDocument.Parse(await File.ReadAllTextAsync(_directory["report"], TestContext.Current.CancellationToken));
        string[] messages = [.. report.RootElement.GetProperty("messages").EnumerateObject().Select(message => message.Name)];
        Assert.Contains("VRING_KICK", messages);
        Assert.DoesNotContain(messages, name => name is "SET_VRING_KICK" or "SET_VRING_CALL" or "SET_VRING_ERR");
    }

    /// <summary>Writes, all of them in flight when the device moves.</summary>
    /// <returns>How many were done by the first back-end, and what the second says of its queue.</returns>
    private async Task<(int Here, JsonElement There)> MoveAsync(bool packed, ProtocolFeatures withheld)
    {
        string disk = _directory["disk"];
        await using (FileStream file = File.Create(disk))
            file.SetLength(Requests * Bytes);
        var gate = new GatedBackend(new FileBackend(StorageFile.Open(disk, new StorageMode(Writable: true, Direct: false) { Shared = true })));
        using var first = new VhostUserServer(new BlockDevice(gate), UnixListener.Listen(_directory["first"]));
        Task serving = Task.Run(first.Run, TestContext.Current.CancellationToken);
        byte[] expected = new byte[Requests * Bytes];
        new Random(1).NextBytes(expected);
        await using (VioProcess second = VioProcess.Start("serve", "blk", "--socket-path", _directory["second"], "--blk-file", disk, "--num-queues", "1", "--shared", "--report", _directory["report"]))
        {
            await second.WaitForLogAsync("listening on");
            using (VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(_directory["first"], DeviceId.Block, new()
            {
                Withheld = withheld,
                WithheldFeatures = packed ? Features.None : Features.RingPacked,
            }))
            using (var driver = new BlockDriver(frontEnd))
            {
                for (int i = 0; i < Requests; i++)
                {
                    DmaBuffer buffer = frontEnd.Dma.Allocate(Bytes);
                    expected.AsSpan(i * Bytes, Bytes).CopyTo(buffer.Span);
                    Assert.True(driver.TrySubmit(BlockRequest.Write((ulong)(i * Bytes / 512), buffer), out _));
                }

                driver.Kick();
                Assert.True(SpinWait.SpinUntil(() => gate.Asked == Requests, TimeSpan.FromSeconds(30)));

                frontEnd.MoveTo(_directory["second"]);

                var done = new HashSet<ulong>();
                while (done.Count < Requests)
                {
                    Assert.True(driver.Wait(TimeSpan.FromSeconds(30), out BlockResult result));
                    Assert.True(done.Add(result.Token.Number), "a request is done twice");
                    result.ThrowIfFailed();
                }
            }

            Assert.Equal(expected, await File.ReadAllBytesAsync(disk, TestContext.Current.CancellationToken));
            Assert.True(SpinWait.SpinUntil(() => File.Exists(_directory["report"]), TimeSpan.FromSeconds(30)));
        }

        first.Stop();
        await serving;
        using JsonDocument report = JsonDocument.Parse(await File.ReadAllTextAsync(_directory["report"], TestContext.Current.CancellationToken));
        return (gate.Done, report.RootElement.GetProperty("queues")[0].Clone());
    }
}
