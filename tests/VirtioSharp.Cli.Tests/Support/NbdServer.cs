using System.Diagnostics;
using System.Runtime.InteropServices;

namespace VirtioSharp.Cli.Tests.Support;

/// <summary>A real NBD server as a process: nbdkit, or QEMU's. Killed when disposed.</summary>
internal sealed partial class NbdServer : IAsyncDisposable
{
    private readonly string _program;
    private readonly string _socketPath;
    private Process _process;

    private NbdServer(string program, string socketPath, string[] arguments)
    {
        (_program, _socketPath) = (program, socketPath);
        _process = Process.Start(program, arguments);
    }

    /// <summary>nbdkit with these plugins and filters, listening at a path.</summary>
    public static Task<NbdServer> NbdkitAsync(string socketPath, params string[] arguments) =>
        StartAsync("/usr/sbin/nbdkit", "/usr/bin/nbdkit", "nbdkit", socketPath, ["-f", "-U", socketPath, .. arguments]);

    /// <summary>nbdkit at a port of this machine; it has no socket's file, so that of its process id says when it is ready.</summary>
    public static Task<NbdServer> NbdkitAtPortAsync(string idPath, int port, params string[] arguments) =>
        StartAsync("/usr/sbin/nbdkit", "/usr/bin/nbdkit", "nbdkit", idPath, ["-f", "-i", "127.0.0.1", "-p", $"{port}", "-P", idPath, .. arguments]);

    /// <summary>QEMU's server of a raw file.</summary>
    public static Task<NbdServer> QemuAsync(string socketPath, string disk) =>
        StartAsync("/usr/bin/qemu-nbd", "", "qemu-utils", socketPath, ["-k", socketPath, "-f", "raw", "-t", "-x", "disk", disk]);

    /// <summary>kill -9, and what it has not written is gone with it.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        File.Delete(_socketPath);
    }

    /// <summary>Another one in its place.</summary>
    public async Task StartAgainAsync(params string[] arguments)
    {
        _process = Process.Start(_program, ["-f", "-U", _socketPath, .. arguments]);
        await ListensAsync();
    }

    /// <summary>It does nothing until told otherwise.</summary>
    public void Freeze() => _ = Kill(_process.Id, 19 /* SIGSTOP */);

    public void Thaw() => _ = Kill(_process.Id, 18 /* SIGCONT */);

    public async ValueTask DisposeAsync()
    {
        try
        {
            await KillAsync();
        }
        catch (InvalidOperationException)
        {
            // The test has killed it.
        }
    }

    private static async Task<NbdServer> StartAsync(string program, string other, string package, string socketPath, string[] arguments)
    {
        string? found = new[] { program, other }.FirstOrDefault(File.Exists);
        if (found is null)
            Assert.Skip($"{program} was not found: run 'apt install {package}'");
        var server = new NbdServer(found, socketPath, arguments);
        try
        {
            await server.ListensAsync();
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    private async Task ListensAsync()
    {
        while (!IsThere())
        {
            if (_process.HasExited)
                throw new InvalidOperationException($"{_program} ended with exit code {_process.ExitCode}");
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>A socket has a file before anybody listens to it; the kernel's list says who listens (proc(5)), and a server says nothing
    /// of a stranger who only knocks. A file with a process id is no socket: that it is there is enough.</summary>
    private bool IsThere()
    {
        const string Listens = " 00010000 "; // __SO_ACCEPTCON
        if (!File.Exists(_socketPath) || new FileInfo(_socketPath).Length > 0)
            return File.Exists(_socketPath);
        return File.ReadLines("/proc/net/unix").Any(line => line.EndsWith($" {_socketPath}", StringComparison.Ordinal) && line.Contains(Listens, StringComparison.Ordinal));
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);
}
