using System.Globalization;

namespace VirtioSharp.Guest.Tests;

/// <summary>fio in a guest writes to our disk, with a checksum in every block, and finds all of them again: also while the daemon dies.</summary>
/// <remarks>VIRTIOSHARP_FIO_SECONDS says how long the daemon is killed; ten in <c>./test</c>.</remarks>
public sealed class FioTests : IDisposable
{
    private const long DiskBytes = 96 << 20;

    private const string FindDisk = """
        for one in /sys/block/vd*; do [ "$(cat $one/serial)" = under-test ] && disk=/dev/${one##*/}; done
        fio() { tool fio --output-format=terse --output=/tmp/fio --randrepeat=1 --direct=1 --ioengine=libaio --iodepth=16 \
            --verify=crc32c --verify_fatal=1 --rw=randwrite --bsrange=4k-64k "$@"; }

        """;

    private static readonly int Seconds = int.Parse(Environment.GetEnvironmentVariable("VIRTIOSHARP_FIO_SECONDS") ?? "10", CultureInfo.InvariantCulture);

    private readonly TemporaryDirectory _directory = new();

    public FioTests()
    {
        using FileStream disk = File.Create(_directory["disk"]);
        disk.SetLength(DiskBytes);
    }

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("", 1)]
    [InlineData(",num-queues=2,packed=on", 2)]
    [Proves("Block device", "QEMU 7.2, Linux guest")]
    public async Task Files_on_a_new_file_system_are_whole_when_written_and_after_a_reboot(string properties, int queues)
    {
        const string job = ToolsDisk.Vocabulary + FindDisk + """
            mkdir -p /mnt
            [ $boot = 1 ] || tool mke2fs -q -t ext4 $disk || vio failed mkfs
            mount -t ext4 $disk /mnt || vio failed mount
            if [ $boot = 0 ]; then
                fio --name=verify --directory=/mnt --size=12M --numjobs=2 --end_fsync=1 || vio failed fio
                dd if=/dev/urandom of=/mnt/plain bs=64k count=64 2>/dev/null
                vio wrote $(sha256sum </mnt/plain)
            else
                vio found $(sha256sum </mnt/plain)
                fio --name=verify --directory=/mnt --size=12M --numjobs=2 --verify_only || vio failed fio
            fi
            vio verified $(cut -d ";" -f 5 /tmp/fio)
            umount /mnt

            """;
        await using VioProcess vio = await ServeAsync();
        await using GuestMachine guest = GuestMachine.Start(Guest(GuestJobs.Reboot(times: 1, atEachBoot: job), properties) with { Processors = queues, ResultBytes = 512 });

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.DoesNotContain(events, line => line.Key == "failed");
        Assert.Equal(["0 0", "0 0"], Values(events, "verified")); // an error code for each of the two jobs
        Assert.Equal(Values(events, "wrote"), Values(events, "found"));
        Assert.DoesNotContain("fail:", vio.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(",num-queues=2", 2)]
    [InlineData(",packed=on", 1)]
    [Proves("In-flight tracking", "QEMU 7.2, Linux guest")]
    public async Task With_the_daemon_killed_every_second_no_write_is_lost(string properties, int queues)
    {
        const int sigKill = 9, leastKills = 3;
        string job = ToolsDisk.Vocabulary + FindDisk + $"""
            vio started
            fio --name=verify --filename=$disk --size=64M --loops=1000 --verify_backlog=512 --runtime={Seconds} --time_based || vio failed fio
            vio verified $(cut -d ";" -f 5 /tmp/fio)
            vio kilobytes-read $(cut -d ";" -f 6 /tmp/fio)
            """;
        VioProcess vio = await ServeAsync();
        try
        {
            string reconnect = Guests.QemuIsNew ? ",reconnect-ms=1000" : ",reconnect=1";
            await using GuestMachine guest = GuestMachine.Start(Guest(job, properties, reconnect) with { Processors = queues });
            await guest.WaitForAsync("started", Guests.Patience, Cancel);
            Task<IReadOnlyList<GuestEvent>> running = guest.RunToEndAsync(Guests.Patience + TimeSpan.FromSeconds(Seconds), Cancel);
            int kills = 0;
            while (await Task.WhenAny(running, Task.Delay(1000, Cancel)) != running)
            {
                await vio.EndByAsync(sigKill);
                await vio.DisposeAsync();
                vio = await ServeAsync();
                await Task.WhenAny(running, vio.WaitForLogAsync("driver ready"));
                kills++;
            }

            IReadOnlyList<GuestEvent> events = await running;
            Assert.DoesNotContain(events, line => line.Key == "failed");
            Assert.Equal("0", Assert.Single(Values(events, "verified")));
            int read = int.Parse(Assert.Single(Values(events, "kilobytes-read")), CultureInfo.InvariantCulture);
            Assert.True(read > 0 && kills >= leastKills, $"{kills} kills, {read} KiB read");
            TestContext.Current.SendDiagnosticMessage("{0} kills, {1} KiB verified, no error", kills, read);
        }
        finally
        {
            await vio.DisposeAsync();
        }
    }

    private static string[] Values(IEnumerable<GuestEvent> events, string key) => [.. events.Where(line => line.Key == key).Select(line => line.Value)];

    private Task<VioProcess> ServeAsync() => VioProcess.ServeAsync(
        "blk", _directory["sock"], "--blk-file", _directory["disk"], "--serial", "under-test");

    private GuestOptions Guest(string job, string properties, string chardev = "") => Guests.Without(job) with
    {
        Devices =
        [
            .. ToolsDisk.Make(_directory, ("fio", "fio"), ("mke2fs", "e2fsprogs")),
            "-chardev", $"socket,id=c0,path={_directory["sock"]}{chardev}", "-device", $"vhost-user-blk-pci,chardev=c0{properties}",
        ],
    };
}
