using System.Diagnostics;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Repository.Tests;

/// <summary>./test as its caller sees it, as far as it can be run from within a test.</summary>
public sealed class CommandTests
{
    [Fact]
    [Runs("./test --help")]
    public void Test_says_how_to_use_it()
    {
        var (exitCode, output) = Test("--help");

        Assert.Equal(0, exitCode);
        Assert.StartsWith("Usage: ./test", output);
    }

    [Theory]
    [InlineData("NoSuchProgram")]
    [InlineData("--no-such-option")]
    public void What_it_cannot_do_is_one_failed_test_in_its_last_line(string argument)
    {
        var (exitCode, output) = Test(argument);

        Assert.Equal(1, exitCode);
        Assert.EndsWith("\n0 passed, 1 failed, 0 skipped\n", output);
    }

    private static (int ExitCode, string Output) Test(string argument)
    {
        using var process = Process.Start(new ProcessStartInfo(Repository.In("test"), argument) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(10)));
        return (process.ExitCode, output);
    }
}
