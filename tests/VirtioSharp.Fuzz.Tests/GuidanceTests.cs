using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Fuzz.Tests;

/// <summary>The fuzzer itself: a bug behind three magic bytes is found by guidance and not by chance.</summary>
public sealed class GuidanceTests
{
    // Chance needs about 2^24 tries for each place where the three may meet; guidance three times 2^8 and some.
    private const string Runs = "500000";

    [Fact]
    public async Task Coverage_leads_to_a_planted_bug_behind_three_magic_bytes()
    {
        using var findings = new TemporaryDirectory();

        var (exitCode, output) = await FuzzProcess.Run("toy", "60", "--runs", Runs, "--findings", findings.Path);

        Assert.True(exitCode == 1, output);
        Assert.Contains("the toy's planted bug", output, StringComparison.Ordinal);
        string found = Assert.Single(Directory.GetFiles(findings.Path));
        Assert.Contains($"fuzz/run --replay {found}", output, StringComparison.Ordinal);
        Assert.Equal([0, 0, 0x56, 0, 0x52, 0, 0x9D, 0], await File.ReadAllBytesAsync(found, TestContext.Current.CancellationToken));

        var (again, report) = await FuzzProcess.Run("--replay", found);
        Assert.True(again == 1, report);
        Assert.Contains("the toy's planted bug", report, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_coverage_as_many_executions_find_nothing()
    {
        using var findings = new TemporaryDirectory();

        var (exitCode, output) = await FuzzProcess.Run("toy", "60", "--runs", Runs, "--unguided", "--findings", findings.Path);

        Assert.True(exitCode == 0, output);
        Assert.Contains($"toy: {Runs} executions", output, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(findings.Path));
    }

    [Fact]
    public async Task The_same_seed_does_the_same()
    {
        var (_, first) = await FuzzProcess.Run("driver-split", "60", "--runs", "3000", "--seed", "7");
        var (_, second) = await FuzzProcess.Run("driver-split", "60", "--runs", "3000", "--seed", "7");

        Assert.Equal(WithoutSpeed(first), WithoutSpeed(second));

        static string WithoutSpeed(string line) => string.Join(',', line.Split(',').Where(part => !part.EndsWith("/s", StringComparison.Ordinal)));
    }
}
