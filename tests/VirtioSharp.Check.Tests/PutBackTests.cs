using VirtioSharp.Check.Tests.Support;
using VirtioSharp.Devices.Block;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Check.Tests;

/// <summary>The check writes to a disk that is not its own: it says what became of it when the daemon fails in between.</summary>
public sealed class PutBackTests : IDisposable
{
    private const string StorageDaemon = "/usr/bin/qemu-storage-daemon";

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _old = new byte[1 << 20];

    public PutBackTests() => new Random(4).NextBytes(_old);

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(true, "sector 0 is put back over a new session")]
    [InlineData(false, "sector 0 is NOT put back: a write is answered with status 1")]
    public async Task Sector_0_is_put_back_over_a_new_session_when_the_first_is_broken(bool heals, string said)
    {
        byte[] bytes = [.. _old];
        using var disk = new BreakingDisk(bytes, heals);
        using var server = new VhostUserServer(new BlockDevice(disk), UnixListener.Listen(_directory["s"], nonBlocking: true));
        Task serving = Task.Run(server.Run, TestContext.Current.CancellationToken);

        CheckResult result = Write(new CheckOptions { SocketPath = _directory["s"], Device = "blk", Timeout = TimeSpan.FromSeconds(3), MayWrite = true });

        server.Stop();
        await serving;
        Assert.Equal(Verdict.Fail, result.Verdict);
        Assert.StartsWith("a request is not answered within 3 s; ", result.Seen, StringComparison.Ordinal);
        Assert.Contains(said, result.Seen, StringComparison.Ordinal);
        Assert.Equal(heals, bytes.AsSpan().SequenceEqual(_old));
    }

    [Fact]
    public void A_daemon_that_dies_after_the_write_is_started_again_for_it()
    {
        if (!File.Exists(StorageDaemon))
            Assert.Skip($"{StorageDaemon} is missing (apt install qemu-system-common)");
        File.WriteAllBytes(_directory["disk"], _old);
        File.WriteAllBytes(_directory["old"], _old);
        // Its throttle lets one write through and keeps the second waiting for seconds, in which it is killed, once.
        File.WriteAllText(_directory["daemon"], $"""
            cd '{_directory.Path}'
            if [ ! -e once ]; then
                touch once
                (while cmp -s disk old; do kill -0 $$ || exit; sleep 0.02; done; kill -9 $$) &
            fi
            exec {StorageDaemon} --object throttle-group,id=slow,limits.iops-write=1,limits.iops-size=64 \
                --blockdev driver=file,node-name=f,filename=disk --blockdev driver=throttle,node-name=t,throttle-group=slow,file=f \
                --export type=vhost-user-blk,id=e,node-name=t,writable=on,addr.type=unix,addr.path=$1
            """);
        using var daemon = new DaemonCommand($"/bin/sh '{_directory["daemon"]}' {{socket}}", _directory["s"]);

        CheckResult result = Write(new CheckOptions { SocketPath = _directory["s"], Device = "blk", Timeout = TimeSpan.FromSeconds(30), MayWrite = true, Daemon = daemon });

        Assert.Equal(Verdict.Fail, result.Verdict);
        Assert.EndsWith("the daemon died (signal 9); sector 0 is put back over a new session", result.Seen, StringComparison.Ordinal);
        Assert.Equal(_old, File.ReadAllBytes(_directory["disk"]));
    }

    [Fact]
    public void A_disk_that_is_read_only_is_not_written_to()
    {
        File.WriteAllBytes(_directory["disk"], _old);
        using var daemon = new DaemonCommand($"'{VioProcess.Program}' serve blk --read-only --socket-path {{socket}} --blk-file '{_directory["disk"]}'", _directory["s"]);

        CheckResult result = Write(new CheckOptions { SocketPath = _directory["s"], Device = "blk", Timeout = TimeSpan.FromSeconds(30), MayWrite = true, Daemon = daemon });

        Assert.Equal((Verdict.Skip, "the disk is read-only"), (result.Verdict, result.Seen));
    }

    private static CheckResult Write(CheckOptions options) => Assert.Single(new CheckRun(options).Run(Checks.Named("blk-write")));
}
