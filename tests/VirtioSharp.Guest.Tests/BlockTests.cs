using System.Security.Cryptography;

namespace VirtioSharp.Guest.Tests;

/// <summary>Debian's virtio_blk driver on our device: what it reads is in the file, and what it writes gets there.</summary>
[Proves("Block device", "QEMU 7.2, Linux guest")]
public sealed class BlockTests : IDisposable
{
    private const int DiskBytes = 8 << 20;
    private const int WrittenBytes = 1 << 20;
    private const int RingPacked = 34;

    // Every boot writes a mebibyte behind the one before, and reads all of the disk first.
    private const string FindDisk = """
        for one in /sys/block/vd*; do [ "$(cat $one/serial)" = under-test ] && disk=${one##*/}; done
        vio queues $(ls /sys/block/$disk/mq | wc -l)
        vio cache $(cat /sys/block/$disk/queue/write_cache)

        """;

    private const string ReadAndWrite = FindDisk + """
        vio before $(sha256sum </dev/$disk)
        dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
        dd if=/tmp/data of=/dev/$disk bs=64k count=16 seek=$((16 * (1 + ${boot:-0}))) 2>/dev/null || exit
        sync
        vio written $(sha256sum </tmp/data)
        echo 3 >/proc/sys/vm/drop_caches
        vio again $(dd if=/dev/$disk bs=64k count=16 skip=$((16 * (1 + ${boot:-0}))) 2>/dev/null | sha256sum)

        """;

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _disk = new byte[DiskBytes];

    public BlockTests()
    {
        new Random(8).NextBytes(_disk);
        File.WriteAllBytes(_directory["disk"], _disk);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("", 1)]
    [InlineData(",packed=on", 1)]
    [InlineData(",num-queues=2", 2)]
    [InlineData(",num-queues=2,packed=on", 2)]
    public async Task The_guest_reads_the_file_and_the_file_has_what_it_wrote(string properties, int queues)
    {
        await using VioProcess vio = await ServeAsync();
        await using GuestMachine guest = GuestMachine.Start(Guest(ReadAndWrite, properties) with { Processors = queues });

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal($"{queues}", Value(events, "queues"));
        Assert.Equal("write back", Value(events, "cache"));
        AssertWritten(events, boot: 0);
        await vio.WaitForLogAsync("front-end left");
        await vio.EndByAsync(VioProcess.SigTerm);
        Report report = Report.Read(_directory["report"]);
        Assert.Equal(properties.Contains("packed", StringComparison.Ordinal), report.Features.Contains(RingPacked));
        Assert.Empty(report.Faults);
        Assert.Null(report.Ended);
        Assert.DoesNotContain("fail:", vio.Errors, StringComparison.Ordinal);
    }

    private static string Sum(ReadOnlySpan<byte> bytes) => $"{Convert.ToHexStringLower(SHA256.HashData(bytes))} -";

    private static string Value(IEnumerable<GuestEvent> events, string key) => events.Single(line => line.Key == key).Value;

    private Task<VioProcess> ServeAsync(params string[] options) => VioProcess.ServeAsync(
        "blk", _directory["sock"], ["--blk-file", _directory["disk"], "--serial", "under-test", "--report", _directory["report"], .. options]);

    private GuestOptions Guest(string job, string properties = "") =>
        Guests.On(_directory["sock"], job, "vhost-user-blk-pci") is var options
            ? options with { Devices = [.. options.Devices.SkipLast(1), options.Devices[^1] + properties] } : options;

    /// <summary>One boot's checksums are those of the disk as it was and as it is now.</summary>
    private void AssertWritten(IReadOnlyList<GuestEvent> events, int boot)
    {
        Assert.Equal(Sum(_disk), Value(events, "before"));
        byte[] now = File.ReadAllBytes(_directory["disk"]);
        int at = WrittenBytes * (1 + boot);
        Assert.Equal(Sum(now.AsSpan(at, WrittenBytes)), Value(events, "written"));
        Assert.Equal(Value(events, "written"), Value(events, "again"));
        now.AsSpan(at, WrittenBytes).CopyTo(_disk.AsSpan(at));
        Assert.Equal(_disk, now); // and nothing else has changed
    }
}
