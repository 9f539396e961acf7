using System.Diagnostics;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>A QEMU of ours that has no console: what it says is complaints. It ends with this object.</summary>
internal sealed class QemuProcess : IAsyncDisposable
{
    private static readonly TimeSpan TimeToEnd = TimeSpan.FromSeconds(2);
    private readonly Process _process;
    private readonly LastWords _words = new(20);

    public QemuProcess(string program, IReadOnlyList<string> arguments, string directory)
    {
        CommandLine = QemuCommandLine.Quote([program, .. arguments]);
        _process = TetheredProcess.Start(program, arguments, directory);
        Id = _process.Id;
        Ended = FollowAsync();
    }

    public int Id { get; }

    public string CommandLine { get; }

    public Task Ended { get; }

    public string Output => _words.ToString();

    /// <summary>For whoever lost the connection to it: its exit code, if it ended, and what it said before that.</summary>
    public string LastWords() =>
        Ended.Wait(TimeToEnd) ? $"{_words}, and ended with exit code {_process.ExitCode}" : _words.ToString();

    public void Kill()
    {
        if (!Ended.IsCompleted)
            _process.Kill();
    }

    public async ValueTask DisposeAsync()
    {
        Kill();
        await Ended.ConfigureAwait(false);
        _process.Dispose();
    }

    private async Task FollowAsync()
    {
        await Task.WhenAll(ReadAsync(_process.StandardOutput), ReadAsync(_process.StandardError)).ConfigureAwait(false);
        await _process.WaitForExitAsync().ConfigureAwait(false);
        TetheredProcess.Release(_process);
    }

    private async Task ReadAsync(StreamReader output)
    {
        while (await output.ReadLineAsync().ConfigureAwait(false) is string line)
            _words.Add(line);
    }
}
