using System.Diagnostics;
using VirtioSharp.Check.Tests.Support;

namespace VirtioSharp.Check.Tests;

/// <summary>Our own daemon, as a process of its own, meets every requirement, whatever it is told to keep back.</summary>
public sealed class OurDaemonTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string SocketPath => _directory["sock"];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData]
    [InlineData("Mq")]
    [InlineData("ReplyAck")]
    [InlineData("ConfigureMemSlots")]
    [InlineData("Status", "ResetDevice", "BackEndReq")]
    [InlineData("Mq", "ReplyAck", "ConfigureMemSlots", "Status", "ResetDevice", "BackEndReq")]
    [Proves("vio check", "vhost-user")]
    public async Task Nothing_fails(params string[] withheld)
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, [.. withheld.SelectMany(feature => (string[])["--without", feature]), "--with", "InbandNotifications", "--log-level", "Information"]);
        var options = new CheckOptions { SocketPath = SocketPath, Device = "rng", Timeout = TimeSpan.FromSeconds(30), Dangerous = true };

        CheckResult[] results = [.. new CheckRun(options).Run(CheckList.All)];

        Assert.Equal(CheckList.All.Count(), results.Length);
        Assert.Empty(results.With(Verdict.Fail));
        Assert.True(results.With(Verdict.Pass).Length >= 150, string.Join('\n', results.With(Verdict.Skip)));
        Assert.False(vio.HasExited);
        Assert.DoesNotContain("internal error", vio.Errors, StringComparison.Ordinal);
    }

    [Fact]
    [Proves("vio check", "vhost-user")]
    public void Nothing_fails_on_a_disk()
    {
        byte[] disk = new byte[1 << 20];
        Random.Shared.NextBytes(disk);
        File.WriteAllBytes(_directory["disk"], disk);
        using var daemon = new DaemonCommand($"'{VioProcess.Program}' serve blk --socket-path {{socket}} --blk-file '{_directory["disk"]}'", SocketPath);
        var options = new CheckOptions { SocketPath = SocketPath, Device = "blk", Timeout = TimeSpan.FromSeconds(30), Dangerous = true, MayWrite = true, Daemon = daemon };

        CheckResult[] results = [.. new CheckRun(options).Run(CheckList.All)];

        Assert.Empty(results.With(Verdict.Fail));
        Assert.True(results.With(Verdict.Pass).Length >= 200, string.Join('\n', results.With(Verdict.Skip)));
        Assert.Equal(disk, File.ReadAllBytes(_directory["disk"]));
    }

    [Fact]
    public void A_daemon_that_is_killed_is_told_so_and_started_again()
    {
        using var daemon = new DaemonCommand($"'{VioProcess.Program}' serve rng --socket-path {{socket}}", SocketPath);
        var options = new CheckOptions { SocketPath = SocketPath, Device = "rng", Timeout = TimeSpan.FromSeconds(30), Daemon = daemon };
        int[] processes = new int[3];

        var results = new List<CheckResult>();
        foreach (CheckResult result in new CheckRun(options).Run(Checks.Named("ring-split", "chain-loop", "ring-split")))
        {
            results.Add(result);
            processes[results.Count - 1] = daemon.ProcessId;
            if (results.Count == 1)
            {
                using Process process = Process.GetProcessById(daemon.ProcessId);
                process.Kill();
                process.WaitForExit();
            }
        }

        Assert.Equal([Verdict.Pass, Verdict.Fail, Verdict.Pass], results.Select(result => result.Verdict));
        Assert.Contains("the daemon died (signal 9)", results[1].Seen, StringComparison.Ordinal);
        Assert.NotEqual(processes[0], processes[1]);
    }

    [Fact]
    public async Task A_daemon_that_somebody_else_starts_again_has_died_all_the_same()
    {
        VioProcess? vio = await VioProcess.ServeRngAsync(SocketPath);
        try
        {
            var options = new CheckOptions { SocketPath = SocketPath, Device = "rng", Timeout = TimeSpan.FromSeconds(30) };
            var results = new List<CheckResult>();
            foreach (CheckResult result in new CheckRun(options).Run(Checks.Named("ring-split", "reply-get-features", "ring-split")))
            {
                results.Add(result);
                if (results.Count != 1)
                    continue;
                await vio.EndByAsync(9);
                await vio.DisposeAsync();
                vio = await VioProcess.ServeRngAsync(SocketPath);
            }

            Assert.Equal([Verdict.Pass, Verdict.Fail, Verdict.Pass], results.Select(result => result.Verdict));
            Assert.Contains("has died and was replaced", results[1].Seen, StringComparison.Ordinal);
        }
        finally
        {
            await vio.DisposeAsync();
        }
    }
}
