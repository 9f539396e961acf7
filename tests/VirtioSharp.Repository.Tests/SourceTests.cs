using System.Text.RegularExpressions;
using Xunit;

namespace VirtioSharp.Repository.Tests;

/// <summary>What holds for every source file in src.</summary>
public sealed partial class SourceTests
{
    private const int MaxLines = 400;

    /// <summary>Managed by design: what these do with memory they do through Core.</summary>
    public static TheoryData<string> SafeProjects => ["Spec", "Devices", "Drivers", "Transports"];

    [Fact]
    public void A_file_is_one_idea()
    {
        var tooLong = Repository.Files("*.cs", "src")
            .Select(file => (Name: Repository.Relative(file), Lines: File.ReadLines(file).Count()))
            .Where(file => file.Lines > MaxLines);

        Assert.Empty(tooLong);
    }

    [Theory]
    [MemberData(nameof(SafeProjects))]
    public void A_managed_project_has_no_unsafe_code(string project)
    {
        string directory = $"src/VirtioSharp.{project}";

        Assert.DoesNotContain("AllowUnsafeBlocks", File.ReadAllText(Repository.In($"{directory}/VirtioSharp.{project}.csproj")));
        Assert.Empty(Repository.Files("*.cs", directory).Where(UsesUnsafe).Select(Repository.Relative));
    }

    private static bool UsesUnsafe(string file) => File.ReadLines(file).Any(line => UnsafeKeyword().IsMatch(line.Split("//")[0]));

    [GeneratedRegex(@"\bunsafe\b")]
    private static partial Regex UnsafeKeyword();
}
