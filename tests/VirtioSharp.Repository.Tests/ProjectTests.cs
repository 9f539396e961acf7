using System.Xml.Linq;
using Xunit;

namespace VirtioSharp.Repository.Tests;

/// <summary>What the project files promise: native code can be published, and every package was chosen.</summary>
public sealed class ProjectTests
{
    private static readonly XDocument Packages = Repository.Xml(Repository.In("Directory.Packages.props"));

    public static TheoryData<string> AllProjects => [.. Repository.Files("*.csproj").Select(Repository.Relative)];

    /// <summary>One outside would be neither built nor formatted by <c>./test</c>.</summary>
    [Fact]
    public void Every_project_is_in_the_solution()
    {
        var inSolution = Repository.Xml(Repository.In("VirtioSharp.slnx")).Descendants("Project").Select(project => (string?)project.Attribute("Path"));

        Assert.Empty(Repository.Files("*.csproj").Select(Repository.Relative).Except(inSolution));
    }

    [Fact]
    public void Every_source_project_is_AOT_compatible()
    {
        XDocument common = Repository.Xml(Repository.In("src/Directory.Build.props"));

        Assert.Equal("true", common.Descendants("IsAotCompatible").Single().Value);
        Assert.Empty(Repository.SourceProjects.SelectMany(project => Repository.Xml(project).Descendants("IsAotCompatible")));
        // One closer to a project would hide the common one.
        Assert.Single(Repository.Files("Directory.Build.props", "src"));
    }

    [Theory]
    [MemberData(nameof(AllProjects))]
    public void Package_versions_are_central_and_locked(string project)
    {
        string file = Repository.In(project);

        Assert.Empty(Repository.Xml(file).Descendants("PackageReference").Attributes("Version"));
        Assert.Empty(Repository.Xml(file).Descendants("PackageReference").Attributes("VersionOverride"));
        Assert.True(File.Exists(Path.Combine(Path.GetDirectoryName(file)!, "packages.lock.json")), $"{project} has no lock file: dotnet restore makes it.");
    }

    /// <summary>Packages that come together share a comment.</summary>
    [Fact]
    public void Every_package_version_has_a_comment_that_says_why_it_is_here()
    {
        var unexplained = Packages.Descendants("PackageVersion")
            .Where(package => !package.NodesBeforeSelf().OfType<XComment>().Any())
            .Select(package => (string?)package.Attribute("Include"));

        Assert.Empty(unexplained);
    }

    [Fact]
    public void The_license_is_Apache_2_0()
    {
        string license = File.ReadAllText(Repository.In("LICENSE"));

        Assert.Contains("Apache License", license);
        Assert.Contains("Version 2.0, January 2004", license);
        Assert.Contains("END OF TERMS AND CONDITIONS", license);
        Assert.Equal("Apache-2.0", Repository.Xml(Repository.In("Directory.Build.props")).Descendants("PackageLicenseExpression").Single().Value);
    }
}
