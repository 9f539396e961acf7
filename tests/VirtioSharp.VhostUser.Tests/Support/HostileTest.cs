using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>What every front-end that breaks the rules gets: the connection is closed, one line says why, nothing leaks,
/// and the next front-end is served.</summary>
[Collection(Alone.Name)]
[Proves("Hostile front-end", "vhost-user")]
public abstract class HostileTest : IDisposable
{
    private protected ServedDevice Served { get; } = new();

    public void Dispose()
    {
        Served.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <param name="expected">Parts of the one line, in order.</param>
    /// <param name="misbehave">What to send.</param>
    private protected void AssertRefused(string[] expected, Action<FrontEnd> misbehave)
    {
        Served.AssertServesNext();
        using var leaks = new LeakCheck();

        using (FrontEnd frontEnd = Served.Connect())
        {
            misbehave(frontEnd);
            frontEnd.AssertClosed();
        }

        string? ended = Served.NextReport().Ended;
        Assert.NotNull(ended);
        AssertContainsInOrder(expected, ended);
        Assert.DoesNotContain("Parameter", ended, StringComparison.Ordinal); // .NET's words are no help here
        Assert.Equal([$"connection closed: {ended}"], Served.Log.Errors);
        leaks.AssertNothingIsLeft();
        Served.AssertServesNext();
    }

    private protected void AssertRefused(string expected, Action<FrontEnd> misbehave) => AssertRefused([expected], misbehave);

    private static void AssertContainsInOrder(string[] parts, string text)
    {
        int from = 0;
        foreach (string part in parts)
        {
            int at = text.IndexOf(part, from, StringComparison.Ordinal);
            Assert.True(at >= 0, $"\"{part}\" is missing in \"{text}\"");
            from = at + part.Length;
        }
    }
}
