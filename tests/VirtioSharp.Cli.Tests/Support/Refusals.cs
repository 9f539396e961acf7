namespace VirtioSharp.Cli.Tests;

/// <summary>How <c>vio</c> says no.</summary>
internal static class Refusals
{
    /// <summary>One line on standard error that starts with the program's name and holds what it is about; nothing on standard output.</summary>
    public static void AssertOneLine(Ending run, int exitCode, params string[] parts)
    {
        Assert.Equal(exitCode, run.ExitCode);
        Assert.Equal("", run.Output);
        Assert.StartsWith("vio: ", run.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', run.Errors);
        Assert.DoesNotContain("Exception", run.Errors, StringComparison.Ordinal);
        foreach (string part in parts)
            Assert.Contains(part, run.Errors, StringComparison.Ordinal);
    }
}
