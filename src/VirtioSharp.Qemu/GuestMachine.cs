using System.Diagnostics;
using System.Threading.Channels;

namespace VirtioSharp.Qemu;

/// <summary>
/// A virtual machine under real QEMU, with Debian's kernel and a job. It lives until the job ends, QEMU is killed
/// or this object is disposed, and never longer than our process.
/// </summary>
/// <remarks>Events are consumed: one task at a time waits for them, in the order they come.</remarks>
public sealed class GuestMachine : IAsyncDisposable
{
    private readonly GuestOptions _options;
    private readonly GuestDirectory _directory;
    private readonly Process _process;
    private readonly LastWords _console = new(20);
    private readonly LastWords _errors = new(20);
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly Channel<GuestEvent> _events = Channel.CreateUnbounded<GuestEvent>();
    private readonly Task _ended;

    private GuestMachine(GuestOptions options, GuestDirectory directory, string qemu, IReadOnlyList<string> arguments)
    {
        _options = options;
        _directory = directory;
        CommandLine = QemuCommandLine.Quote([qemu, .. arguments]);
        _process = TetheredProcess.Start(qemu, arguments, directory.Path);
        ProcessId = _process.Id;
        _ended = FollowAsync();
    }

    /// <summary>QEMU's process id.</summary>
    public int ProcessId { get; }

    /// <summary>QEMU's command line, to show or to paste into a shell.</summary>
    public string CommandLine { get; }

    /// <summary>Completes when QEMU has ended, for whatever reason. Never fails.</summary>
    public Task Ended => _ended;

    /// <summary>QEMU's exit code; only once it has <see cref="Ended"/>. Killed by signal n: 128 + n.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>What QEMU itself had to say.</summary>
    public string ErrorOutput => _errors.ToString();

    /// <summary>The raw file behind the results disk. It goes away with this object.</summary>
    public string ResultsFile => _directory.ResultsDisk;

    /// <summary>Starts QEMU; does not wait for the guest.</summary>
    public static GuestMachine Start(GuestOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        string qemu = HostTools.Find(options.Qemu, "qemu-system-x86");
        Initramfs initramfs = Initramfs.Prepare(options.Kernel, options.Modules);
        GuestDirectory directory = new();
        try
        {
            initramfs.WriteWithJob(directory.Initramfs, options.Job);
            if (options.ResultBytes > 0)
                directory.CreateResultsDisk(options.ResultBytes);
            IReadOnlyList<string> arguments = QemuCommandLine.For(
                options,
                directory.Initramfs,
                options.ResultBytes > 0 ? directory.ResultsDisk : null,
                options.Qmp ? directory.QmpSocket : null);
            return new GuestMachine(options, directory, qemu, arguments);
        }
        catch
        {
            directory.Dispose();
            throw;
        }
    }

    /// <summary>The console's lines from here on, until QEMU ends.</summary>
    public IAsyncEnumerable<GuestEvent> ReadEventsAsync(CancellationToken cancellationToken = default) =>
        _events.Reader.ReadAllAsync(cancellationToken);

    /// <summary>Waits until the guest is up and about to run its job.</summary>
    public Task<GuestEvent> WaitForBootAsync(CancellationToken cancellationToken = default) =>
        WaitForAsync(GuestEvent.Up, _options.BootTimeout, cancellationToken);

    /// <summary>Waits for an event and passes over everything before it.</summary>
    /// <exception cref="GuestException">The guest panicked, QEMU ended or the time is over; the message has the last words.</exception>
    public async Task<GuestEvent> WaitForAsync(string key, TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        List<GuestEvent> events = await ReadUntilAsync(key, timeout, cancellationToken).ConfigureAwait(false);
        return events is [.., { } last] && last.Key == key
            ? last
            : throw new GuestException($"QEMU ended with exit code {ExitCode} before '{key}'. {WhatWasSaid()}");
    }

    /// <summary>Waits for the job's end and QEMU's, and gives all events; fails if the job failed.</summary>
    /// <exception cref="GuestException">The same as for <see cref="WaitForAsync"/>, or the job's exit code is not 0.</exception>
    public async Task<IReadOnlyList<GuestEvent>> RunToEndAsync(TimeSpan timeout, CancellationToken cancellationToken = default)
    {
        List<GuestEvent> events = await ReadUntilAsync(null, timeout, cancellationToken).ConfigureAwait(false);
        return events.FindLast(line => line.Key == GuestEvent.Done)?.Value switch
        {
            "0" => events,
            null => throw new GuestException($"QEMU ended with exit code {ExitCode} before the guest's job did. {WhatWasSaid()}"),
            string code => throw new GuestException($"the guest's job ended with exit code {code}. {WhatWasSaid()}"),
        };
    }

    /// <summary>The first <paramref name="count"/> bytes of the results disk, as the guest wrote them.</summary>
    public byte[] ReadResults(int count)
    {
        byte[] bytes = new byte[count];
        using FileStream file = new(ResultsFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.ReadExactly(bytes);
        return bytes;
    }

    /// <summary>Opens QEMU's control connection; needs <see cref="GuestOptions.Qmp"/>.</summary>
    public async Task<QmpClient> ConnectQmpAsync(CancellationToken cancellationToken = default)
    {
        if (!_options.Qmp)
            throw new InvalidOperationException($"this guest has no QMP socket: set {nameof(GuestOptions)}.{nameof(GuestOptions.Qmp)}");
        // QEMU binds the socket some time after it starts.
        while (!File.Exists(_directory.QmpSocket))
        {
            if (_ended.IsCompleted)
                throw new GuestException($"QEMU ended with exit code {ExitCode} before it opened QMP. {WhatWasSaid()}");
            await Task.Delay(10, cancellationToken).ConfigureAwait(false);
        }
        return await QmpClient.ConnectAsync(_directory.QmpSocket, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Kills QEMU without a word to the guest.</summary>
    public void Kill()
    {
        if (!_ended.IsCompleted)
            _process.Kill();
    }

    /// <summary>Kills QEMU if it still runs, and removes its files.</summary>
    public async ValueTask DisposeAsync()
    {
        Kill();
        await _ended.ConfigureAwait(false);
        _process.Dispose();
        _directory.Dispose();
    }

    // Up to the event with this key, or to QEMU's end.
    private async Task<List<GuestEvent>> ReadUntilAsync(string? key, TimeSpan timeout, CancellationToken cancellationToken)
    {
        string goal = key is null ? "the end of the job" : $"'{key}'";
        List<GuestEvent> events = [];
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        try
        {
            await foreach (GuestEvent line in ReadEventsAsync(limit.Token).ConfigureAwait(false))
            {
                events.Add(line);
                if (key is not null && line.Key == key)
                    return events;
                // It would reboot, panic again, and so on until the time is over.
                if (line.Line.Contains("Kernel panic", StringComparison.Ordinal))
                    throw new GuestException($"the guest's kernel panicked before {goal}. {WhatWasSaid()}");
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new GuestException(
                $"the guest did not reach {goal} within {timeout.TotalSeconds:0} s. {WhatWasSaid()} Started with: {CommandLine}");
        }
        await _ended.ConfigureAwait(false);
        return events;
    }

    private async Task FollowAsync()
    {
        Task errors = FollowErrorsAsync();
        Exception? failure = null;
        try
        {
            while (await _process.StandardOutput.ReadLineAsync().ConfigureAwait(false) is string text)
            {
                GuestEvent line = new(_clock.Elapsed, text.TrimEnd('\r'));
                _console.Add(line.Line);
                _options.OnEvent?.Invoke(line);
                _events.Writer.TryWrite(line);
            }
        }
        catch (Exception error)
        {
            // The caller's OnEvent threw. Whoever waits for the guest gets the exception; nobody reads the console now.
            failure = error;
            _process.Kill();
        }
        await errors.ConfigureAwait(false);
        await _process.WaitForExitAsync().ConfigureAwait(false);
        TetheredProcess.Release(_process);
        _events.Writer.Complete(failure);
    }

    private async Task FollowErrorsAsync()
    {
        while (await _process.StandardError.ReadLineAsync().ConfigureAwait(false) is string text)
            _errors.Add(text);
    }

    private string WhatWasSaid() => $"QEMU says: {_errors}. Console: {_console}.";
}
