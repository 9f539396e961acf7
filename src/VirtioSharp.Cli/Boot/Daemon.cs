using System.ComponentModel;
using System.Diagnostics;
using VirtioSharp.Cli.Output;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Cli.Boot;

/// <summary><c>vio serve</c> as a process of its own, as an operator would run it, in a directory that goes with it.</summary>
internal sealed class Daemon : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Process _process;
    private readonly DirectoryInfo _directory;
    private readonly string[] _options;

    private Daemon(Process process, DirectoryInfo directory, string device, string[] options) =>
        (_process, _directory, Device, _options) = (process, directory, device, options);

    /// <summary>What it serves.</summary>
    public string Device { get; }

    /// <summary>How an operator would start it.</summary>
    public string CommandLine => string.Join(' ', ["vio", "serve", Device, "--socket-path", SocketPath, .. _options]);

    /// <summary>Where it listens.</summary>
    public string SocketPath => Path.Combine(_directory.FullName, "vio.sock");

    private string ReportPath => Path.Combine(_directory.FullName, "report.json");

    /// <summary>Starts it and waits until it listens.</summary>
    /// <exception cref="UserException">It ended instead; its own words are in the message.</exception>
    public static async Task<Daemon> StartAsync(string device, string[] options, CancellationToken cancellation)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("vio-");
        var daemon = new Daemon(new Process(), directory, device, options);
        try
        {
            daemon.Start();
            await daemon.WaitForAsync(daemon.SocketPath, cancellation).ConfigureAwait(false);
            return daemon;
        }
        catch
        {
            await daemon.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>What it saw of the front-end that has just left.</summary>
    public async Task<SessionReport> ReportAsync(CancellationToken cancellation)
    {
        await WaitForAsync(ReportPath, cancellation).ConfigureAwait(false);
        return ReportFile.Read(ReportPath);
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!_process.HasExited)
                _process.Kill();
            await _process.WaitForExitAsync().ConfigureAwait(false);
        }
        catch (InvalidOperationException)
        {
            // It was never started.
        }

        _process.Dispose();
        _directory.Delete(recursive: true);
    }

    private void Start()
    {
        // This very program again: a published vio, or 'dotnet vio.dll'.
        string program = Environment.ProcessPath ?? throw new UserException("the program's own path cannot be found; is /proc mounted?");
        var start = new ProcessStartInfo(program) { RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, "vio.dll"));
        foreach (string argument in (string[])["serve", Device, "--socket-path", SocketPath, "--report", ReportPath, "--log-level", "Warning", .. _options])
            start.ArgumentList.Add(argument);
        _process.StartInfo = start;
        _process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is not null)
                Console.Error.WriteLine(line.Data);
        };
        try
        {
            _process.Start();
        }
        catch (Win32Exception failed)
        {
            throw new UserException($"{program} cannot be started: {failed.Message}");
        }

        _process.BeginErrorReadLine();
    }

    private async Task WaitForAsync(string file, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        while (!File.Exists(file))
        {
            if (_process.HasExited)
                throw new UserException($"vio serve ended with exit code {_process.ExitCode}");
            if (Stopwatch.GetElapsedTime(start) > Patience)
                throw new UserException($"vio serve has not made {file} in {Patience.TotalSeconds} s");
            await Task.Delay(20, cancellation).ConfigureAwait(false);
        }
    }
}
