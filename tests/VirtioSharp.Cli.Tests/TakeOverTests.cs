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
