using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>Keeps what the server says.</summary>
internal sealed class CapturedLog : ILogger
{
    private readonly ConcurrentQueue<Line> _lines = new();

    public IReadOnlyList<Line> Lines => [.. _lines];

    public IEnumerable<string> Errors => _lines.Where(line => line.Level >= LogLevel.Error).Select(line => line.Text);

    public IEnumerable<string> Warnings => _lines.Where(line => line.Level == LogLevel.Warning).Select(line => line.Text);

    /// <summary>How many lines contain a text.</summary>
    public int Count(string text) => _lines.Count(line => line.Text.Contains(text, StringComparison.Ordinal));

    public void WaitFor(string text) =>
        Assert.True(Patience.Until(() => Count(text) > 0), $"nobody logged \"{text}\":\n{string.Join('\n', _lines)}");

    public void Clear() => _lines.Clear();

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
            _lines.Enqueue(new Line(logLevel, formatter(state, exception)));
    }

    IDisposable? ILogger.BeginScope<TState>(TState state) => null;

    internal sealed record Line(LogLevel Level, string Text);
}
