using System.Diagnostics;
using System.Text.RegularExpressions;
using Xunit;

namespace VirtioSharp.Repository.Tests;

/// <summary>The samples do what the README says, and the README shows them as they are.</summary>
public sealed partial class SampleTests
{
    [Fact]
    public async Task The_die_that_is_rolled_through_a_ring_has_six_sides()
    {
        string program = Repository.In(Path.Combine("samples/Dice", Path.GetRelativePath(Repository.In("tests/VirtioSharp.Repository.Tests"), AppContext.BaseDirectory), "Dice"));
        using var dice = Process.Start(new ProcessStartInfo(program) { RedirectStandardOutput = true })!;

        string said = await dice.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await dice.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Matches("^rolled [1-6]\n$", said);
        Assert.Equal(0, dice.ExitCode);
    }

    [Fact]
    public void Every_piece_of_code_in_the_README_is_in_a_sample()
    {
        string[] samples = [.. Repository.Files("*.cs", "samples").Select(File.ReadAllText)];

        IEnumerable<string> strangers = CSharp().Matches(File.ReadAllText(Repository.In("README.md")))
            .Select(block => block.Groups["code"].Value)
            .Where(code => !samples.Any(sample => sample.Contains(code, StringComparison.Ordinal)));

        Assert.Empty(strangers);
    }

    [GeneratedRegex(@"^```csharp\n(?<code>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CSharp();
}
