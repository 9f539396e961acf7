using System.Text.Json;

namespace VirtioSharp.Check.Tests;

/// <summary>Daemons that are not ours: QEMU's for disks and for file systems. Some of it fails, so it is the run that is tested here.</summary>
public sealed class QemuDaemonTests
{
    private const string Daemon = "/usr/bin/qemu-storage-daemon";

    [Fact]
    public async Task The_run_comes_to_its_end_and_a_good_disk_is_found_good()
    {
        if (!File.Exists(Daemon))
            Assert.Skip($"{Daemon} is missing (apt install qemu-system-common)");
        using var directory = new TemporaryDirectory();
        byte[] disk = new byte[1 << 20];
        Random.Shared.NextBytes(disk);
        await File.WriteAllBytesAsync(directory["disk"], disk, TestContext.Current.CancellationToken);
        string command = $"{Daemon} --blockdev driver=file,node-name=f,filename={directory["disk"]}"
            + " --export type=vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={socket},writable=on";

        Ending check;
        await using (VioProcess vio = VioProcess.Start("check", "--device", "blk", "--write", "--timeout", "20", "--format", "json", "--exec", command))
            check = await vio.EndAsync(TimeSpan.FromMinutes(10));

        Assert.InRange(check.ExitCode, 0, 1);
        using JsonDocument json = JsonDocument.Parse(check.Output);
        Dictionary<string, string> rows = json.RootElement.GetProperty("cases").EnumerateArray()
            .ToDictionary(row => row.GetProperty("case").GetString()!, row => row.GetProperty("verdict").GetString()!);
        Assert.Equal(CheckList.All.Count(), rows.Count);
        string[] good =
        [
            "reply-get-features", "reply-get-config", "framing-byte-by-byte-descriptors", "ack-set-mem-table", "ring-split", "ring-indirect", "ring-event-idx-interrupt",
            "ring-cut-buffers", "memory-several-regions", "session-after-session", "log-marks-writes",
            "blk-capacity", "blk-get-id", "blk-used-length", "blk-unknown-type", "blk-sector-past-the-end", "blk-write", "chain-loop", "chain-buffer-outside",
        ];
        Assert.All(good, name => Assert.Equal((name, "Pass"), (name, rows[name])));
        Assert.Equal(disk, await File.ReadAllBytesAsync(directory["disk"], TestContext.Current.CancellationToken)); // what was there was put back
    }

    [Fact]
    public async Task A_daemon_that_ends_with_its_front_end_is_started_for_each_session()
    {
        const string Program = "/usr/lib/qemu/virtiofsd";
        if (!File.Exists(Program) || !Environment.IsPrivilegedProcess)
            Assert.Skip($"{Program} is missing (apt install qemu-system-common), or we are not root, which it needs");
        using var directory = new TemporaryDirectory();
        string command = $"{Program} --socket-path={{socket}} -o source={directory.Path} -o sandbox=chroot";

        Ending check = await VioProcess.RunAsync(
            "check", "--device", "fs", "--timeout", "20", "--case", "framing-", "--case", "session-connect-and-leave", "--exec", command);

        if (check.ExitCode == 3)
            Assert.Skip($"{Program} does not run here: {check.Errors}");
        Assert.Contains("SKIP  session-connect-and-leave", check.Output, StringComparison.Ordinal);
        Assert.Contains("the daemon ends when its front-end leaves", check.Output, StringComparison.Ordinal);
        Assert.Contains("PASS  framing-many-at-once", check.Output, StringComparison.Ordinal);
    }
}
