using System.Text.Json;

namespace VirtioSharp.Cli.Tests;

/// <summary><c>vio bench blk</c> against a real <c>vio serve blk</c>, and against QEMU's storage daemon.</summary>
public sealed class BenchTests : IDisposable
{
    private const string StorageDaemon = "/usr/bin/qemu-storage-daemon";
    private const int DiskBytes = 1 << 20;

    private readonly TemporaryDirectory _directory = new();

    public BenchTests() => File.WriteAllBytes(_directory["disk"], new byte[DiskBytes]);

    public void Dispose() => _directory.Dispose();

    [Fact]
    [Runs("artifacts/vio/vio bench blk --socket-path blk.sock --iodepth 32")]
    public async Task Reads_are_measured_and_shown_in_a_table()
    {
        await using VioProcess vio = await ServeAsync();

        Ending bench = await RunAsync("--iodepth", "32");

        Assert.Equal((0, ""), (bench.ExitCode, bench.Errors));
        Assert.StartsWith("randread, 4 KiB, 32 in flight on one queue, packed ring, 0.2 s\n", bench.Output, StringComparison.Ordinal);
        foreach (string row in (string[])["IOPS", "MiB/s", "latency, µs: min", "p99.9", "max", "errors"])
            Assert.Matches($@"\n│ {row} +│ +[0-9.,]+ │\n", bench.Output);
        Assert.Contains($"The daemon (process {vio.Id}) used ", bench.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_it_says_is_what_the_daemon_saw()
    {
        await using VioProcess vio = await ServeAsync("--report", _directory["report"]);

        JsonElement bench = Json(await RunAsync("--queues", "2", "--iodepth", "4", "--rw", "randrw", "--write-ok", "--rwmixread", "75", "--format", "json"));
        await vio.EndByAsync(VioProcess.SigTerm);

        using JsonDocument report = JsonDocument.Parse(await File.ReadAllTextAsync(_directory["report"], TestContext.Current.CancellationToken));
        long[] chains = [.. report.RootElement.GetProperty("queues").EnumerateArray().Select(queue => queue.GetProperty("counts").GetProperty("chains").GetInt64())];
        (long reads, long writes) = (Count(bench, "read"), Count(bench, "write"));
        Assert.True(chains[0] > 0 && chains[1] > 0, "each queue is used");
        Assert.InRange(reads + writes, 1, chains.Sum());
        Assert.InRange((double)reads / (reads + writes), 0.5, 0.95);
        Assert.Equal(vio.Id, bench.GetProperty("daemon").GetProperty("processId").GetInt32());
        Assert.True(bench.GetProperty("daemon").GetProperty("cpuMicrosecondsPerRequest").GetDouble() > 0);
        double[] latency = [.. ((string[])["min", "p50", "p90", "p99", "p999", "max"]).Select(name => bench.GetProperty("read").GetProperty("latencyMicroseconds").GetProperty(name).GetDouble())];
        Assert.Equal(latency.Order(), latency);
        Assert.True(latency[0] > 0);
    }

    [Theory]
    [InlineData("write", "1")]
    [InlineData("randwrite", "8")]
    public async Task Writes_stay_in_the_part_that_was_given(string kind, string depth)
    {
        await using VioProcess vio = await ServeAsync();

        Ending bench = await RunAsync("--rw", kind, "--write-ok", "--offset", "64k", "--size", "32k", "--iodepth", depth, "--bs", "512");

        Assert.Equal((0, ""), (bench.ExitCode, bench.Errors));
        byte[] disk = await File.ReadAllBytesAsync(_directory["disk"], TestContext.Current.CancellationToken);
        Assert.All(disk[(64 << 10)..(96 << 10)].Chunk(512), block => Assert.Contains(block, value => value != 0));
        Assert.DoesNotContain(disk[..(64 << 10)], value => value != 0);
        Assert.DoesNotContain(disk[(96 << 10)..], value => value != 0);
    }

    [Fact]
    public async Task QEMUs_daemon_is_measured_in_the_same_way()
    {
        if (!File.Exists(StorageDaemon))
            Assert.Skip($"{StorageDaemon} was not found: run 'apt install qemu-system-common'");
        await using VioProcess daemon = VioProcess.StartProgram(StorageDaemon,
        [
            "--blockdev", $"driver=file,node-name=disk,filename={_directory["disk"]}",
            "--export", $"type=vhost-user-blk,id=e,node-name=disk,writable=on,num-queues=2,addr.type=unix,addr.path={_directory["s"]}",
        ]);
        while (!File.Exists(_directory["s"]) && !daemon.HasExited)
            await Task.Delay(5, TestContext.Current.CancellationToken);

        JsonElement bench = Json(await RunAsync("--queues", "2", "--rw", "write", "--write-ok", "--bs", "64k", "--poll", "--format", "json"));

        Assert.True(Count(bench, "write") > 0);
        Assert.Equal((JsonValueKind.Null, "split", daemon.Id), (bench.GetProperty("read").ValueKind, bench.GetProperty("ring").GetString(), bench.GetProperty("daemon").GetProperty("processId").GetInt32()));
        byte[] disk = await File.ReadAllBytesAsync(_directory["disk"], TestContext.Current.CancellationToken);
        Assert.Contains(disk, value => value != 0);
    }

    [Fact]
    public async Task Requests_that_fail_are_counted_and_the_first_is_named()
    {
        await using VioProcess vio = await ServeAsync();
        File.WriteAllBytes(_directory["disk"], []);

        Ending bench = await RunAsync("--format", "json");

        Assert.Equal(1, bench.ExitCode);
        Assert.Matches(@"^vio: --socket-path .*: \d+ requests failed; the first: In, 8 sectors at \d+: IoError \(status 1\)$", bench.Errors);
        using JsonDocument json = JsonDocument.Parse(bench.Output);
        JsonElement reads = json.RootElement.GetProperty("read");
        Assert.True(reads.GetProperty("errors").GetInt64() > 0);
        Assert.Equal(0, reads.GetProperty("requests").GetInt64());
    }

    [Theory]
    [InlineData("--rw randwrite", "--rw randwrite destroys what is on the disk: give --write-ok")]
    [InlineData("--rwmixread 20", "--rwmixread is for --rw randrw")]
    [InlineData("--rw randrw --write-ok --rwmixread 120", "--rwmixread 120: give 0 to 100")]
    [InlineData("--bs 3x", "--bs 3x: give a number of bytes")]
    [InlineData("--bs 1000", "requests of 1000 bytes: the disk takes multiples of 512")]
    [InlineData("--iodepth 0", "--iodepth 0: give 1 to 1024")]
    [InlineData("--queues 17", "17 queues: the daemon has 16")]
    [InlineData("--offset 2M", "at 2097152: the disk has 1048576")]
    [InlineData("--size 2k", "2048 bytes at 0: the disk has 1048576, in blocks of 512, and a request 4096")]
    [InlineData("--time 0", "--time 0: give 0.01 to 86400 seconds")]
    public async Task What_cannot_be_is_said_in_one_line(string options, string about)
    {
        await using VioProcess vio = await ServeAsync();

        Refusals.AssertOneLine(await RunAsync(options.Split(' ')), 2, about);
    }

    [Fact]
    public async Task A_read_only_disk_is_not_written_to()
    {
        await using VioProcess vio = await ServeAsync("--read-only");

        Refusals.AssertOneLine(await RunAsync("--rw", "randwrite", "--write-ok"), 2, "the disk is read-only");
    }

    private Task<VioProcess> ServeAsync(params string[] options) =>
        VioProcess.ServeAsync("blk", _directory["s"], ["--blk-file", _directory["disk"], .. options]);

    private Task<Ending> RunAsync(params string[] options) =>
        VioProcess.RunAsync([.. (string[])["bench", "blk", "--socket-path", _directory["s"], "--warmup", "0"], .. options.Contains("--time") ? [] : (string[])["--time", "0.2"], .. options]);

    private static JsonElement Json(Ending run)
    {
        Assert.Equal((0, ""), (run.ExitCode, run.Errors));
        using JsonDocument json = JsonDocument.Parse(run.Output);
        return json.RootElement.Clone();
    }

    private static long Count(JsonElement bench, string side) => bench.GetProperty(side).GetProperty("requests").GetInt64();
}
