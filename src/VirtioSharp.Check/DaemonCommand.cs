using System.ComponentModel;
using System.Diagnostics;
using VirtioSharp.Linux;

namespace VirtioSharp.Check;

/// <summary>A daemon that we start ourselves, and start again when it has died. Killed when disposed.</summary>
public sealed class DaemonCommand : IDisposable
{
    /// <summary>How long a crash may take that a case has just brought about.</summary>
    internal static readonly TimeSpan DiesSoon = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan StartsWithin = TimeSpan.FromSeconds(20);

    private readonly string _command;
    private readonly string _socketPath;
    private Process? _process;
    private volatile string _lastWords = "";

    /// <param name="command">A program with its arguments as a shell takes them; <c>{socket}</c> stands for the socket's path.</param>
    /// <param name="socketPath">Where it listens.</param>
    public DaemonCommand(string command, string socketPath) => (_command, _socketPath) = (command, socketPath);

    /// <summary>How it ended, with the last line it wrote to standard error.</summary>
    public string Death => _process is not { HasExited: true } process
        ? "was never started"
        : $"died ({(process.ExitCode > 128 ? $"signal {process.ExitCode - 128}" : $"exit code {process.ExitCode}")}){(_lastWords.Length > 0 ? $": {_lastWords}" : "")}";

    /// <summary>Its process; another one after each start.</summary>
    internal int ProcessId => _process?.Id ?? 0;

    /// <summary>Whether it has ended of its own accord, and not by a crash.</summary>
    internal bool HasLeft => _process is { HasExited: true, ExitCode: < 128 };

    /// <summary>Starts it, in place of one that still runs, and waits until it listens.</summary>
    /// <exception cref="UnreachableException">It does not come to that.</exception>
    public void Start()
    {
        Dispose();
        RemoveOldSocket();
        // The shell becomes the daemon, so that its process is the one we end.
        var start = new ProcessStartInfo("/bin/sh", ["-c", "exec " + _command.Replace("{socket}", _socketPath, StringComparison.Ordinal)])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        _lastWords = "";
        try
        {
            _process = Process.Start(start)!;
        }
        catch (Win32Exception failed)
        {
            throw new UnreachableException($"/bin/sh cannot be started: {failed.Message}");
        }

        _process.StandardInput.Close();
        _process.OutputDataReceived += (_, _) => { };
        _process.ErrorDataReceived += (_, line) => _lastWords = string.IsNullOrWhiteSpace(line.Data) ? _lastWords : line.Data.Trim();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        WaitUntilItListens();
    }

    /// <summary>Whether it has ended, or does so within the time given: a crash that writes a core takes its time.</summary>
    public bool DiesWithin(TimeSpan time) => _process is null || _process.WaitForExit(time);

    /// <summary>What it has written so far does not explain what comes.</summary>
    internal void ForgetWords() => _lastWords = "";

    /// <summary>Ends it as we end: from another thread, and whatever this object is doing.</summary>
    public void Kill()
    {
        try
        {
            _process?.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended, or is just being replaced.
        }
    }

    /// <summary>Kills it.</summary>
    public void Dispose()
    {
        if (_process is null)
            return;
        if (!_process.HasExited)
            _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        _process = null;
    }

    /// <summary>Some daemons refuse to start over the socket of one that was killed. What is no socket is somebody's file.</summary>
    private void RemoveOldSocket()
    {
        try
        {
            if (FileFacts.OfPath(_socketPath) is { Kind: FileKind.Socket })
                File.Delete(_socketPath);
        }
        catch (Exception refused) when (refused is LinuxException or IOException or UnauthorizedAccessException)
        {
            throw new UnreachableException(refused.Message.TrimEnd('.'));
        }
    }

    private void WaitUntilItListens()
    {
        long start = Stopwatch.GetTimestamp();
        while (!IsListening())
        {
            if (_process!.HasExited)
                throw new UnreachableException($"the daemon {Death}");
            if (Stopwatch.GetElapsedTime(start) > StartsWithin)
                throw new UnreachableException($"the daemon does not listen at {_socketPath} within {StartsWithin.TotalSeconds} s");
            Thread.Sleep(20);
        }
    }

    /// <summary>Looked up, not tried: a connection may be all that a daemon serves. Flag 0x10000 is "accepts" (proc(5), net/unix).</summary>
    private bool IsListening() =>
        File.ReadLines("/proc/net/unix").Any(line => line.EndsWith($" {_socketPath}", StringComparison.Ordinal) && line.Contains(" 00010000 ", StringComparison.Ordinal));
}
