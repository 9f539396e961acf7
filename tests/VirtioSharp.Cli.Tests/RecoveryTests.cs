using System.Globalization;
using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli.Tests;

/// <summary>The daemon is killed at random moments and started again, and no request is lost or done twice.</summary>
/// <remarks>VIRTIOSHARP_KILLS says how often; a few in <c>./test</c>, as many as wanted by hand.</remarks>
public sealed class RecoveryTests : IDisposable
{
    private const int Blocks = 1024;
    private const int FewKills = 12;

    private readonly TemporaryDirectory _directory = new();

    public static TheoryData<string, int, string> Rings => new()
    {
        { "split", 1, "sync" }, { "split", 2, "sync" }, { "packed", 1, "sync" }, { "packed", 2, "sync" }, { "split", 2, "io_uring" }, { "packed", 2, "io_uring" },
    };

    public void Dispose() => _directory.Dispose();

    [Theory]
    [MemberData(nameof(Rings))]
    [Proves("In-flight recovery", "vhost-user")]
    public async Task Killed_at_random_moments_the_disk_is_what_was_written_to_it(string format, int queues, string engine)
    {
        int kills = int.Parse(Environment.GetEnvironmentVariable("VIRTIOSHARP_KILLS") ?? $"{FewKills}", CultureInfo.InvariantCulture);
        string disk = _directory["disk"];
        await using (FileStream file = File.Create(disk))
            file.SetLength(Blocks * BlockLoad.BlockBytes);
        VioProcess daemon = Serve(disk, engine);
        try
        {
            await daemon.WaitForLogAsync("listening on");
            using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(_directory["s"], DeviceId.Block, new()
            {
                ReconnectTimeout = TimeSpan.FromSeconds(60),
                WithheldFeatures = format == "split" ? Features.RingPacked : Features.None,
            });
            using var driver = new BlockDriver(frontEnd, new() { MaxQueues = queues });
            Assert.Equal((queues, format == "packed"), (driver.QueueCount, driver.NegotiatedFeatures.Has(Features.RingPacked)));
            var load = new BlockLoad(driver, frontEnd.Dma, Blocks, depth: 32, seed: queues);
            var random = new Random(kills);

            for (int kill = 0; kill < kills; kill++)
            {
                int after = random.Next(40);
                Task<VioProcess> next = Task.Run(() => KillAndServeAsync(daemon, after, disk, engine)); // the driver only waits meanwhile
                while (!next.IsCompleted)
                    load.Step();
                daemon = await next;
                int before = load.Done;
                while (load.Done < before + 100) // by the new one, or half of the kills would come before it has begun
                    load.Step();
            }

            load.Verify();
            driver.Flush();
            load.AssertFile(disk);
            Console.WriteLine($"   {format}, {queues} queue{(queues == 1 ? "" : "s")}: killed {kills} times, {load.Done} requests, 0 lost, 0 done twice");
        }
        finally
        {
            await daemon.DisposeAsync();
        }
    }

    private async Task<VioProcess> KillAndServeAsync(VioProcess daemon, int milliseconds, string disk, string engine)
    {
        await Task.Delay(milliseconds);
        daemon.Signal(VioProcess.SigKill);
        await daemon.DisposeAsync();
        return Serve(disk, engine);
    }

    private VioProcess Serve(string disk, string engine) => VioProcess.Start(
        "serve", "blk", "--socket-path", _directory["s"], "--blk-file", disk, "--num-queues", "2",
        "--aio", engine, "--cache", engine == "sync" ? "writeback" : "none"); // where requests are really under way together
}
