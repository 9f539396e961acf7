using System.Security.Cryptography;

namespace VirtioSharp.Guest.Tests;

/// <summary>Debian's virtio_blk driver on our device: what it reads is in the file, and what it writes gets there.</summary>
[Proves("Block device", "QEMU 7.2, Linux guest")]
public sealed class BlockTests : IDisposable
{
    private const int DiskBytes = 8 << 20;
    private const int WrittenBytes = 1 << 20;
    private const int AccessPlatform = 33;
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

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public async Task After_each_reboot_the_disk_is_as_the_guest_left_it(string properties)
    {
        const int boots = 3;
        await using VioProcess vio = await ServeAsync();
        await using GuestMachine guest = GuestMachine.Start(
            Guest(GuestJobs.Reboot(times: boots - 1, atEachBoot: ReadAndWrite), properties) with { ResultBytes = 512 });

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        GuestEvent[] starts = [.. events.Where(line => line.Key == "boot")];
        Assert.Equal(["0", "1", "2"], starts.Select(line => line.Value));
        byte[] end = File.ReadAllBytes(_directory["disk"]);
        for (int boot = 0; boot < boots; boot++)
        {
            // What the file was at each boot follows from the end: every boot wrote its own mebibyte.
            IEnumerable<GuestEvent> ofBoot = events.SkipWhile(line => line != starts[boot]).Skip(1).TakeWhile(line => line.Key != "boot");
            int at = WrittenBytes * (1 + boot);
            Assert.Equal(Sum(_disk), Value(ofBoot, "before"));
            Assert.Equal(Sum(end.AsSpan(at, WrittenBytes)), Value(ofBoot, "written"));
            Assert.Equal(Value(ofBoot, "written"), Value(ofBoot, "again"));
            end.AsSpan(at, WrittenBytes).CopyTo(_disk.AsSpan(at));
        }

        Assert.Equal(_disk, end);
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData(",packed=on", 1)]
    [InlineData(",num-queues=2", 2)]
    [InlineData(",queue-size=1024", 1)] // its rings lie apart in memory
    [Proves("ACCESS_PLATFORM (IOTLB)", "QEMU 7.2, Linux guest")]
    public async Task Behind_an_IOMMU_too(string properties, int queues)
    {
        await using VioProcess vio = await ServeAsync();
        await using GuestMachine guest = GuestMachine.Start(Guests.WithIommu(Guest(ReadAndWrite, ",disable-legacy=on" + Guests.BehindIommu + properties) with { Processors = queues }));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        AssertWritten(events, boot: 0);
        await vio.WaitForLogAsync("front-end left");
        await vio.EndByAsync(VioProcess.SigTerm);
        Report report = Report.Read(_directory["report"]);
        TestContext.Current.TestOutputHelper?.WriteLine($"{report.IotlbMisses} misses, {report.Messages("IOTLB_MSG")} messages");
        Assert.Contains(AccessPlatform, report.Features);
        Assert.True(report.IotlbMisses > DiskBytes / 4096, $"{report.IotlbMisses} misses"); // each page that was read, at the least
        Assert.True(report.Messages("IOTLB_MSG") > report.IotlbMisses, "nothing was taken back");
        Assert.Empty(report.Faults);
        Assert.Null(report.Ended);
    }

    [Theory]
    [InlineData("sync")]
    [InlineData("io_uring")]
    public async Task Past_the_page_cache_the_guest_reads_and_writes_the_same(string engine)
    {
        await using VioProcess vio = await ServeAsync("--cache", "none", "--block-size", "4096", "--aio", engine);
        await using GuestMachine guest = GuestMachine.Start(Guest(ReadAndWrite, ",num-queues=2,packed=on") with { Processors = 2 });

        AssertWritten(await guest.RunToEndAsync(Guests.Patience, Cancel), boot: 0);
    }

    [Fact]
    public async Task The_guest_sees_what_the_options_say_and_switches_the_cache()
    {
        await using VioProcess vio = await ServeAsync("--cache", "writethrough", "--block-size", "4096");
        await using GuestMachine guest = GuestMachine.Start(Guest(FindDisk + """
            queue=/sys/block/$disk/queue
            vio blocks $(cat $queue/logical_block_size) $(cat $queue/physical_block_size) $(cat /sys/block/$disk/ro)
            echo "write back" >/sys/block/$disk/cache_type
            vio switched $(cat $queue/write_cache)
            dd if=/dev/zero of=/dev/$disk bs=64k count=1 2>/dev/null && sync && vio done-writing
            """));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal("write through", Value(events, "cache"));
        Assert.Equal("4096 4096 0", Value(events, "blocks"));
        Assert.Equal("write back", Value(events, "switched"));
        Assert.Contains(events, line => line.Key == "done-writing");
        await vio.WaitForLogAsync("front-end left");
        await vio.EndByAsync(VioProcess.SigTerm);
        Assert.Equal(1, Report.Read(_directory["report"]).Messages("SET_CONFIG"));
    }

    [Fact]
    public async Task A_read_only_disk_is_read_and_stays_as_it_is()
    {
        await using VioProcess vio = await ServeAsync("--read-only");
        await using GuestMachine guest = GuestMachine.Start(Guest(FindDisk + """
            vio ro $(cat /sys/block/$disk/ro)
            vio before $(sha256sum </dev/$disk)
            dd if=/dev/zero of=/dev/$disk bs=4096 count=1 2>/dev/null && vio wrote
            true
            """));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal(("1", Sum(_disk)), (Value(events, "ro"), Value(events, "before")));
        Assert.DoesNotContain(events, line => line.Key == "wrote");
        Assert.Equal(_disk, File.ReadAllBytes(_directory["disk"]));
    }

    [Fact]
    public async Task What_the_guest_discards_is_given_back_to_the_host()
    {
        await using VioProcess vio = await ServeAsync();
        await using GuestMachine guest = GuestMachine.Start(Guest(FindDisk + """
            blkdiscard -o 1048576 -l 4194304 /dev/$disk && vio discarded $(dd if=/dev/$disk bs=1M skip=1 count=4 2>/dev/null | sha256sum)
            """));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        _disk.AsSpan(1 << 20, 4 << 20).Clear();
        Assert.Equal(Sum(_disk.AsSpan(1 << 20, 4 << 20)), Value(events, "discarded"));
        Assert.Equal(_disk, File.ReadAllBytes(_directory["disk"]));
    }

    [Fact]
    public async Task After_QEMU_was_killed_in_the_middle_of_writing_the_next_guest_is_served()
    {
        await using VioProcess vio = await ServeAsync();
        await using (GuestMachine guest = GuestMachine.Start(Guest(FindDisk + """
            while :; do dd if=/dev/zero of=/dev/$disk bs=64k count=16 conv=fsync 2>/dev/null; vio wrote; done
            """)))
        {
            await guest.WaitForAsync("wrote", Guests.Patience, Cancel);
            guest.Kill();
            await guest.Ended;
        }

        await vio.WaitForLogAsync("front-end left");
        File.ReadAllBytes(_directory["disk"]).CopyTo(_disk, 0);
        await using GuestMachine next = GuestMachine.Start(Guest(ReadAndWrite));

        AssertWritten(await next.RunToEndAsync(Guests.Patience, Cancel), boot: 0);
    }

    [Fact]
    public async Task A_disk_that_was_made_longer_is_longer_in_the_guest()
    {
        const int sigHup = 1;
        await using VioProcess vio = await ServeAsync();
        await using GuestMachine guest = GuestMachine.Start(Guest(FindDisk + """
            size=$(cat /sys/block/$disk/size)
            vio size $size
            while [ $(cat /sys/block/$disk/size) = $size ]; do sleep 0.1; done
            vio grown $(cat /sys/block/$disk/size)
            dd if=/dev/zero of=/dev/$disk bs=1M seek=8 count=1 2>/dev/null && sync && vio wrote-behind
            """));
        GuestEvent size = await guest.WaitForAsync("size", Guests.Patience, Cancel);
        using (FileStream file = new(_directory["disk"], FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(2 * DiskBytes);

        vio.Signal(sigHup);
        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal($"{DiskBytes / 512}", size.Value);
        Assert.Equal($"{2 * DiskBytes / 512}", Value(events, "grown"));
        Assert.Contains(events, line => line.Key == "wrote-behind");
        Assert.False(vio.HasExited);
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
