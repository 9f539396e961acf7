using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace VirtioSharp.Guest.Tests;

/// <summary>A guest at work on its disk, whose daemon is killed, or who moves to another QEMU with another daemon.</summary>
public sealed class RecoveryTests : IDisposable
{
    private const int DiskBytes = 16 << 20, Chunk = 1 << 20;

    private const string FindDisk = """
        for one in /sys/block/vd*; do [ "$(cat $one/serial)" = under-test ] && disk=${one##*/}; done

        """;

    // Eight chunks, over and over, always some of them on their way.
    private const string WriteOn = FindDisk + """
        round=0
        while [ $round -lt 12 ]; do
            for chunk in 0 1 2 3 4 5 6 7; do
                (
                    dd if=/dev/urandom of=/tmp/$chunk bs=64k count=16 2>/dev/null
                    dd if=/tmp/$chunk of=/dev/$disk bs=64k count=16 seek=$((16 * chunk)) conv=fsync 2>/dev/null || vio failed $chunk
                ) &
            done
            wait
            round=$((round + 1))
            vio round $round
        done
        echo 3 >/proc/sys/vm/drop_caches
        for chunk in 0 1 2 3 4 5 6 7; do
            vio chunk $chunk $(sha256sum </tmp/$chunk) $(dd if=/dev/$disk bs=64k count=16 skip=$((16 * chunk)) 2>/dev/null | sha256sum)
        done

        """;

    // What is read from the disk stays in memory, where the device put it: the second sum is of memory alone. And some is written.
    private const string ReadOn = FindDisk + """
        round=0
        while [ $round -lt 9 ]; do
            echo 1 >/proc/sys/vm/drop_caches
            dd if=/dev/urandom of=/tmp/data bs=64k count=4 2>/dev/null
            dd if=/tmp/data of=/dev/$disk bs=64k seek=$((16 * 14)) conv=fsync 2>/dev/null || vio failed
            sum=$(dd if=/dev/$disk bs=64k count=$((16 * 14)) 2>/dev/null | sha256sum)
            vio read $round $sum $(dd if=/dev/$disk bs=64k count=$((16 * 14)) 2>/dev/null | sha256sum)
            [ "$(dd if=/dev/$disk bs=64k skip=$((16 * 14)) count=4 2>/dev/null | sha256sum)" = "$(sha256sum </tmp/data)" ] || vio failed
            round=$((round + 1))
        done

        """;

    /// <summary>QEMU 11.1 then takes the in-flight buffer along, and does not have requests completed first (GET_VRING_BASE_INFLIGHT).</summary>
    private const string InflightMigration = ",inflight-migration=on";

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _disk = new byte[DiskBytes];

    public RecoveryTests()
    {
        new Random(9).NextBytes(_disk);
        File.WriteAllBytes(_directory["disk"], _disk);
    }

    /// <summary>Properties of the disk. Requests in flight move with QEMU 11.1 only (tests/qemu-11/run).</summary>
    public static TheoryData<string> Migrations =>
        Guests.QemuIsNew ? new("", ",packed=on", InflightMigration, InflightMigration + ",packed=on") : new("", ",packed=on");

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    [InlineData(",num-queues=2")]
    [Proves("In-flight tracking", "QEMU 7.2, Linux guest")]
    public async Task A_daemon_killed_under_load_is_succeeded_and_no_request_is_lost(string properties)
    {
        const int sigKill = 9;
        VioProcess vio = await ServeAsync("sock");
        try
        {
            await using GuestMachine guest = GuestMachine.Start(Guest("sock", WriteOn, properties, chardev: Guests.QemuIsNew ? ",reconnect-ms=1000" : ",reconnect=1"));
            for (int kill = 1; kill <= 3; kill++)
            {
                await guest.WaitForAsync("round", Guests.Patience, Cancel);
                await Task.Delay(30 * kill, Cancel); // into the next round's writes
                await vio.EndByAsync(sigKill);
                await vio.DisposeAsync();
                vio = await ServeAsync("sock");
                await vio.WaitForLogAsync("driver ready");
            }

            IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

            Assert.DoesNotContain(events, line => line.Key == "failed");
            byte[] end = File.ReadAllBytes(_directory["disk"]);
            string[] chunks = [.. events.Where(line => line.Key == "chunk").Select(line => line.Value)];
            Assert.Equal(Enumerable.Range(0, 8).Select(i => $"{i} {Sum(end.AsSpan(i * Chunk, Chunk))} {Sum(end.AsSpan(i * Chunk, Chunk))}"), chunks);
            Assert.DoesNotContain("fail:", vio.Errors, StringComparison.Ordinal);
            await vio.EndByAsync(VioProcess.SigTerm);
            Assert.InRange(Report.Read(_directory["report"]).Messages("SET_INFLIGHT_FD"), 1, 10);
        }
        finally
        {
            await vio.DisposeAsync();
        }
    }

    [Theory]
    [MemberData(nameof(Migrations))]
    [Proves("Dirty log", "QEMU 7.2, Linux guest")]
    public async Task A_guest_migrates_while_it_reads_and_writes_and_its_memory_arrives_whole(string properties)
    {
        bool takesInflight = properties.StartsWith(InflightMigration, StringComparison.Ordinal);
        string engine = takesInflight ? "io_uring" : "sync";
        await using VioProcess vioHere = await ServeAsync("here", engine), vioThere = await ServeAsync("there", engine);
        await using GuestMachine here = GuestMachine.Start(Guest("here", ReadOn, properties) with { Qmp = true });
        await using GuestMachine there = GuestMachine.Start(Guest("there", ReadOn, properties, "-S", "-incoming", $"unix:{_directory["move"]}") with { Qmp = true });
        await using QmpClient qmpHere = await here.ConnectQmpAsync(Cancel), qmpThere = await there.ConnectQmpAsync(Cancel);
        await here.WaitForAsync("read", Guests.Patience, Cancel);

        await qmpHere.ExecuteAsync("migrate", new JsonObject { ["uri"] = $"unix:{_directory["move"]}" }, Cancel);
        await WaitForMigrationAsync(qmpHere);

        // Both stand still now, and what the device wrote up to the end is in both.
        byte[] memoryHere = await SaveMemoryAsync(qmpHere, "memory-here"), memoryThere = await SaveMemoryAsync(qmpThere, "memory-there");
        AssertSame(memoryHere, memoryThere);
        await qmpThere.ExecuteAsync("cont", cancellationToken: Cancel);
        here.Kill();
        IReadOnlyList<GuestEvent> events = await there.RunToEndAsync(Guests.Patience, Cancel);

        Assert.DoesNotContain(events, line => line.Key == "failed");
        string sum = Sum(_disk.AsSpan(0, 14 * Chunk));
        string[] reads = [.. events.Where(line => line.Key == "read").Select(line => line.Value)];
        Assert.InRange(reads.Length, 2, 9);
        Assert.All(reads, read => Assert.EndsWith($"{sum} {sum}", read, StringComparison.Ordinal));
        await vioHere.WaitForLogAsync("front-end left");
        await vioHere.EndByAsync(VioProcess.SigTerm);
        Report report = Report.Read(_directory["report-here"]);
        Assert.Equal((true, true), (report.Messages("SET_LOG_BASE") > 0, report.Ended is null));
        Assert.Empty(report.Faults);
        Assert.Equal(takesInflight, report.HasProtocol("GetVringBaseInflight"));
    }

    private static async Task WaitForMigrationAsync(QmpClient qmp)
    {
        string? status = null;
        for (int polls = 0; status != "completed"; polls++)
        {
            Assert.True(polls < Guests.Patience.TotalSeconds * 20 && status is not "failed", $"migration: {status}");
            await Task.Delay(50, Cancel);
            JsonElement answer = await qmp.ExecuteAsync("query-migrate", cancellationToken: Cancel);
            status = answer.GetProperty("status").GetString();
        }
    }

    /// <summary>Guest memory above the first mebibyte, where QEMU keeps what is a machine's own.</summary>
    private async Task<byte[]> SaveMemoryAsync(QmpClient qmp, string name)
    {
        const int from = 1 << 20;
        await qmp.ExecuteAsync("pmemsave", new JsonObject { ["val"] = from, ["size"] = (256 << 20) - from, ["filename"] = _directory[name] }, Cancel);
        byte[] bytes = await File.ReadAllBytesAsync(_directory[name], Cancel);
        File.Delete(_directory[name]);
        return bytes;
    }

    private static void AssertSame(byte[] here, byte[] there)
    {
        Assert.Equal(here.Length, there.Length);
        Assert.True(here.AsSpan().SequenceEqual(there), $"memory differs from 0x{here.AsSpan().CommonPrefixLength(there) + (1 << 20):x} on");
        Assert.Contains(here, value => value != 0);
    }

    private static string Sum(ReadOnlySpan<byte> bytes) => $"{Convert.ToHexStringLower(SHA256.HashData(bytes))} -";

    private Task<VioProcess> ServeAsync(string socket, string engine = "sync") => VioProcess.ServeAsync(
        "blk", _directory[socket], "--blk-file", _directory["disk"], "--shared", "--aio", engine, "--serial", "under-test", "--report", _directory[socket == "sock" ? "report" : $"report-{socket}"]);

    private GuestOptions Guest(string socket, string job, string properties, params string[] more) => Guest(socket, job, properties, "", more);

    private GuestOptions Guest(string socket, string job, string properties, string chardev, string[]? more = null) => Guests.Without(job) with
    {
        Devices = ["-chardev", $"socket,id=c0,path={_directory[socket]}{chardev}", "-device", $"vhost-user-blk-pci,chardev=c0{properties}", .. more ?? []],
    };
}
