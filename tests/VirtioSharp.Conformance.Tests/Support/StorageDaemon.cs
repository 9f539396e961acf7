using System.Diagnostics;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.FrontEnd;
using Xunit;

namespace VirtioSharp.Conformance.Tests.Support;

/// <summary>QEMU's storage daemon as a vhost-user-blk back-end over a file, and the way to it. Killed when disposed.</summary>
internal sealed class StorageDaemon : IAsyncDisposable
{
    private const string Program = "/usr/bin/qemu-storage-daemon"; // package qemu-system-common, which every qemu-system brings

    private readonly string[] _arguments;
    private Process _process;

    private StorageDaemon(string[] arguments, TemporaryDirectory files)
    {
        (_arguments, Files) = (arguments, files);
        _process = Process.Start(Program, arguments);
    }

    public TemporaryDirectory Files { get; }

    public string Disk => Files["disk"];

    public string SocketPath => Files["blk"];

    /// <summary>Starts one, or skips the test where there is none.</summary>
    /// <param name="sectors">The disk's size.</param>
    /// <param name="export">More of the export's options.</param>
    /// <param name="readsPerSecond">Slows reads down, so that they are in flight for a while; 0 does not.</param>
    public static async Task<StorageDaemon> StartAsync(int sectors, string export = "", int readsPerSecond = 0)
    {
        if (!File.Exists(Program))
            Assert.Skip($"{Program} was not found: run 'apt install qemu-system-common'");
        var files = new TemporaryDirectory();
        await File.WriteAllBytesAsync(files["disk"], new byte[sectors * 512], TestContext.Current.CancellationToken);
        string[] slow = readsPerSecond == 0 ? [] :
        [
            "--object", $"throttle-group,id=slow,x-iops-read={readsPerSecond}",
            "--blockdev", "driver=throttle,node-name=throttled,throttle-group=slow,file=disk",
        ];
        var daemon = new StorageDaemon(
        [
            "--blockdev", $"driver=file,node-name=disk,discard=unmap,filename={files["disk"]}",
            .. slow,
            "--export", $"type=vhost-user-blk,id=e,node-name={(readsPerSecond == 0 ? "disk" : "throttled")},addr.type=unix,addr.path={files["blk"]}{export}",
        ], files);
        try
        {
            await daemon.ListensAsync();
            return daemon;
        }
        catch
        {
            await daemon.DisposeAsync();
            throw;
        }
    }

    public VhostUserFrontEnd Connect(VhostUserFrontEndOptions? options = null) => VhostUserFrontEnd.Connect(SocketPath, DeviceId.Block, options);

    /// <summary>kill -9, and a new one in its place.</summary>
    public async Task KillAndRestartAsync()
    {
        Kill();
        _process = Process.Start(Program, _arguments);
        await ListensAsync();
    }

    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        File.Delete(SocketPath);
    }

    public ValueTask DisposeAsync()
    {
        Kill();
        Files.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task ListensAsync()
    {
        while (!File.Exists(SocketPath))
        {
            if (_process.HasExited)
                throw new InvalidOperationException($"qemu-storage-daemon ended with exit code {_process.ExitCode}");
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }
}
