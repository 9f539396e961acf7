using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli.Tests;

/// <summary>A disk's file that fails: the driver is told with the request that it costs, others are served, and the daemon lives.</summary>
public sealed class FailingDiskTests : IDisposable
{
    private const int DiskBytes = 1 << 20;

    private readonly TemporaryDirectory _directory = new();

    private string Disk => _directory["disk"];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("sync")]
    [InlineData("io_uring")]
    public async Task Where_there_is_no_more_room_a_write_fails_and_the_rest_goes_on(string engine)
    {
        await using VioProcess vio = await ServeFromSmallFileSystemAsync($"exec '{VioProcess.Program}' serve blk --socket-path '{_directory["s"]}' --blk-file fs/disk --aio {engine}");
        await vio.WaitForLogAsync("listening on");
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);

        var failure = Assert.Throws<BlockException>(() => driver.Write(0, new byte[DiskBytes / 2]));
        driver.Read(DiskBytes / 512 - 8, new byte[4096]);
        driver.Discard(0, DiskBytes / 512);
        driver.Write(8, new byte[4096]);
        driver.Flush();

        Assert.Equal(BlockOutcome.IoError, failure.Result.Outcome);
        await vio.WaitForLogAsync("(ENOSPC)");
        Assert.False(vio.HasExited);
    }

    [Theory]
    [InlineData("sync")]
    [InlineData("io_uring")]
    public async Task A_file_that_somebody_cuts_off_fails_what_is_not_there_until_the_daemon_is_told(string engine)
    {
        File.WriteAllBytes(Disk, new byte[DiskBytes]);
        await using VioProcess vio = await VioProcess.ServeAsync("blk", _directory["s"], "--blk-file", Disk, "--aio", engine, "--control-path", _directory["ctl"]);
        using VhostUserFrontEnd frontEnd = Connect();
        using var driver = new BlockDriver(frontEnd);
        using (FileStream file = File.Open(Disk, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
            file.SetLength(DiskBytes / 2);

        var failure = Assert.Throws<BlockException>(() => driver.Read(DiskBytes / 512 - 8, new byte[4096]));
        driver.Read(0, new byte[4096]);
        driver.Flush();
        await VioProcess.RunAsync("ctl", "resize", "--control-path", _directory["ctl"]);
        while (driver.Capacity != DiskBytes / 2 / 512)
            driver.CheckConfiguration();

        Assert.Equal(BlockOutcome.IoError, failure.Result.Outcome);
        await vio.WaitForLogAsync("the file has become shorter");
    }

    /// <summary>A file system of our own with less room than its file is long, which nobody else sees and which goes with the process.</summary>
    private async Task<VioProcess> ServeFromSmallFileSystemAsync(string command)
    {
        const string unshare = "/usr/bin/unshare";
        string script = $"cd '{_directory.Path}' && mkdir -p fs && mount -t tmpfs -o size={DiskBytes / 4} tmpfs fs && truncate -s {DiskBytes} fs/disk && ";
        string[] arguments = [.. Environment.IsPrivilegedProcess ? Array.Empty<string>() : ["--map-root-user"], "--mount", "/bin/sh", "-c"];
        if (!File.Exists(unshare))
            Assert.Skip($"{unshare} was not found: run 'apt install util-linux'");
        await using (VioProcess trial = VioProcess.StartProgram(unshare, [.. arguments, script + "true"]))
        {
            if (await trial.EndAsync() is { ExitCode: not 0 } refused)
                Assert.Skip($"no file system can be mounted here: {refused.Errors}");
        }

        return VioProcess.StartProgram(unshare, [.. arguments, script + command]);
    }

    private VhostUserFrontEnd Connect() => VhostUserFrontEnd.Connect(_directory["s"], DeviceId.Block);
}
