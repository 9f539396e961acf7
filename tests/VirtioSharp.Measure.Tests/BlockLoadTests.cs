using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Measure.Tests;

/// <summary>The load on a real daemon.</summary>
public sealed class BlockLoadTests : IDisposable
{
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(1, 1, false)]
    [InlineData(32, 2, false)]
    [InlineData(4, 1, true)]
    [Proves("No allocation per request", "vhost-user")]
    public async Task Threads_allocate_nothing_while_they_measure(int depth, int queues, bool poll)
    {
        await using VioProcess vio = await VioProcess.ServeAsync("blk", _directory["s"], "--null", "1G");
        var options = new BlockLoadOptions { Depth = depth, Queues = queues, Poll = poll, ReadPercent = 50 };
        using var frontEnd = Connect(options);
        using var load = new BlockLoad(frontEnd, options);
        load.Run(TimeSpan.Zero, Short); // the runtime makes its types

        BlockLoadResult result = load.Run(TimeSpan.Zero, Short);

        Assert.Equal(0, load.AllocatedBytes);
        Assert.Equal((0, null), (result.Errors, result.FirstError));
        Assert.True(result.Reads.Latency.Count > 0 && result.Writes.Latency.Count > 0);
    }

    [Fact]
    public async Task A_daemon_that_dies_ends_the_run_with_what_happened()
    {
        await using VioProcess vio = await VioProcess.ServeAsync("blk", _directory["s"], "--null", "1G");
        var options = new BlockLoadOptions { Depth = 4, Queues = 2 };
        using var frontEnd = Connect(options);
        using var load = new BlockLoad(frontEnd, options);
        bool isKilled = false;

        TransportException lost = Assert.ThrowsAny<TransportException>(() => load.Run(TimeSpan.Zero, TimeSpan.FromMinutes(5), _ =>
        {
            if (!isKilled)
                vio.Signal(VioProcess.SigKill);
            isKilled = true;
        }));

        Assert.Contains("closed the connection", lost.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Progress_goes_from_the_start_of_the_warm_up_to_the_end()
    {
        await using VioProcess vio = await VioProcess.ServeAsync("blk", _directory["s"], "--null", "1G");
        var options = new BlockLoadOptions();
        using var frontEnd = Connect(options);
        using var load = new BlockLoad(frontEnd, options);
        List<BlockLoadProgress> seen = [];

        load.Run(Short, Short, seen.Add);

        Assert.Equal((true, false), (seen[0].IsWarmUp, seen[^1].IsWarmUp));
        Assert.InRange(seen[^1].Part, 0.99, 1);
        Assert.Equal(seen.OrderBy(now => now.Part), seen);
        Assert.Contains(seen, now => now.PerSecond > 0);
    }

    private VhostUserFrontEnd Connect(BlockLoadOptions options) =>
        VhostUserFrontEnd.Connect(_directory["s"], DeviceId.Block, BlockLoad.Connection(options));
}
