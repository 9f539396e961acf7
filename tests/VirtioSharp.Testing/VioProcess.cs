using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace VirtioSharp.Testing;

/// <summary>How a program ended, and what it said.</summary>
public sealed record Ending(int ExitCode, string Output, string Errors);

/// <summary>
/// The real program <c>vio</c> as a process, from beside the test program; for tests that refer to VirtioSharp.Cli.
/// Killed when disposed.
/// </summary>
public sealed partial class VioProcess : IAsyncDisposable
{
    public const int SigInt = 2;

    public const int SigTerm = 15;

    public const int SigKill = 9;

    // Far beyond what any step takes, even with both cores busy; only a hang gets here.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    // A descriptor that one program shall inherit must not reach another that is started at the same moment.
    private static readonly Lock OneStart = new();

    private readonly Process _process;
    private readonly Task<string> _output;
    private readonly Task _errorsEnded;
    private readonly List<string> _errors = [];

    private VioProcess(Process process)
    {
        _process = process;
        _output = process.StandardOutput.ReadToEndAsync();
        _errorsEnded = FollowErrorsAsync();
    }

    /// <summary>Where the program is.</summary>
    public static string Program { get; } = Path.Combine(AppContext.BaseDirectory, "vio");

    public int Id => _process.Id;

    public bool HasExited => _process.HasExited;

    /// <summary>Standard error so far.</summary>
    public string Errors
    {
        get
        {
            lock (_errors)
                return string.Join('\n', _errors);
        }
    }

    /// <summary>How many descriptors it has open.</summary>
    public int OpenDescriptors => Directory.EnumerateFileSystemEntries($"/proc/{Id}/fd").Count();

    /// <summary>Bytes of memory it occupies, shared pages not included.</summary>
    public long ResidentBytes
    {
        get
        {
            string[] pages = File.ReadAllText($"/proc/{Id}/statm").Split(' '); // size resident shared …
            return (long.Parse(pages[1], CultureInfo.InvariantCulture) - long.Parse(pages[2], CultureInfo.InvariantCulture)) * Environment.SystemPageSize;
        }
    }

    public static VioProcess Start(params string[] arguments) => StartProgram(Program, arguments);

    /// <summary>Starts <c>vio</c> by another way: a link to it, or a program that becomes it.</summary>
    /// <param name="program">What to start.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="inherited">Descriptors to leave open in it, under the same number.</param>
    public static VioProcess StartProgram(string program, string[] arguments, params int[] inherited)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Process process;
        lock (OneStart)
        {
            foreach (int fd in inherited)
                SetCloseOnExec(fd, false);
            process = Process.Start(start)!;
            foreach (int fd in inherited)
                SetCloseOnExec(fd, true);
        }

        process.StandardInput.Close();
        return new VioProcess(process);
    }

    /// <summary>Runs it to its end.</summary>
    public static async Task<Ending> RunAsync(params string[] arguments)
    {
        await using VioProcess process = Start(arguments);
        return await process.EndAsync();
    }

    /// <summary>Starts <c>vio serve rng</c> and waits until it listens at <paramref name="socketPath"/>.</summary>
    public static Task<VioProcess> ServeRngAsync(string socketPath, params string[] options) => ServeAsync("rng", socketPath, options);

    /// <summary>Starts <c>vio serve</c> for a device and waits until it listens at <paramref name="socketPath"/>.</summary>
    public static async Task<VioProcess> ServeAsync(string device, string socketPath, params string[] options)
    {
        VioProcess process = Start(["serve", device, "--socket-path", socketPath, .. options]);
        await process.WaitForLogAsync("listening on");
        return process;
    }

    /// <summary>Waits for its end.</summary>
    public Task<Ending> EndAsync() => EndAsync(Patience);

    /// <summary>Waits for an end that may take longer.</summary>
    public async Task<Ending> EndAsync(TimeSpan patience)
    {
        try
        {
            await _process.WaitForExitAsync().WaitAsync(patience);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"vio has not ended within {patience.TotalSeconds} s. It said: {Errors}");
        }

        await _errorsEnded;
        return new Ending(_process.ExitCode, await _output, Errors);
    }

    /// <summary>Sends a signal.</summary>
    public void Signal(int signal) => _ = Kill(Id, signal);

    /// <summary>Sends a signal and waits for the end it brings.</summary>
    public Task<Ending> EndByAsync(int signal)
    {
        Signal(signal);
        return EndAsync();
    }

    /// <summary>Waits until standard error has a text, again and again if it is to come several times.</summary>
    public async Task WaitForLogAsync(string text, int times = 1)
    {
        long start = Stopwatch.GetTimestamp();
        while (Count(Errors, text) < times)
        {
            if (_process.HasExited && _errorsEnded.IsCompleted && Count(Errors, text) < times)
                throw new InvalidOperationException($"vio ended with exit code {_process.ExitCode} before '{text}'. It said: {Errors}");
            if (Stopwatch.GetElapsedTime(start) > Patience)
                throw new TimeoutException($"no '{text}' within {Patience.TotalSeconds} s. vio said: {Errors}");
            await Task.Delay(5);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private static int Count(string text, string part) => text.Split(part).Length - 1;

    private static void SetCloseOnExec(int fd, bool on)
    {
        const int F_SETFD = 2;
        const int FD_CLOEXEC = 1;
        _ = FileControl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
    }

    private async Task FollowErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync() is { } line)
            lock (_errors)
                _errors.Add(line);
    }

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int FileControl(int fd, int command, nint argument);
}
