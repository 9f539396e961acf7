using System.Reflection;
using Xunit;

namespace VirtioSharp.Repository.Tests;

/// <summary>
/// Who may see whom. Devices and drivers never see each other or a transport, and a transport never sees a concrete
/// device; so there are N + M parts and not N × M. ARCHITECTURE.md draws it.
/// </summary>
public sealed class ArrowTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Spec"] = [],
        ["Core"] = ["Spec"],
        ["Devices"] = ["Core"],
        ["Drivers"] = ["Core"],
        ["Transports"] = ["Core"],
        ["Linux"] = [],
        ["Check"] = ["Linux"],
        ["Backends"] = ["Devices", "Linux"],
        ["VhostUser"] = ["Core", "Linux"],
        ["VfioUser"] = ["Core", "Linux", "Transports"],
        ["Qemu"] = ["Linux", "Transports"],
        ["Measure"] = ["Drivers", "VhostUser"],
        ["Cli"] = ["Spec", "Core", "Devices", "Drivers", "Transports", "Linux", "Backends", "VhostUser", "VfioUser", "Qemu", "Check", "Measure"],
    };

    public static TheoryData<string> Projects => [.. Repository.SourceProjects.Select(project => ShortName(Repository.NameOf(project)))];

    public static TheoryData<string> Libraries => [.. Repository.Libraries.Select(library => ShortName(library.GetName().Name))];

    [Theory]
    [MemberData(nameof(Projects))]
    public void A_project_refers_only_where_its_arrows_go(string project)
    {
        Assert.True(Allowed.ContainsKey(project), $"{project} is new: give it its arrows, here and in ARCHITECTURE.md.");
        string file = Repository.In($"src/VirtioSharp.{project}/VirtioSharp.{project}.csproj");

        var drawn = Repository.Items(file, "ProjectReference").Select(path => ShortName(Repository.NameOf(path)));

        Assert.Empty(drawn.Except(Allowed[project]));
    }

    /// <summary>A project reference brings what it refers to in turn, so the compiled assembly may use that too; no more.</summary>
    [Theory]
    [MemberData(nameof(Libraries))]
    public void A_compiled_library_uses_only_what_its_arrows_reach(string library)
    {
        var used = Assembly.Load($"VirtioSharp.{library}").GetReferencedAssemblies()
            .Select(name => name.Name ?? "")
            .Where(name => name.StartsWith("VirtioSharp.", StringComparison.Ordinal))
            .Select(ShortName);

        Assert.Empty(used.Except(Reach(library)));
    }

    [Fact]
    public void The_specification_depends_on_nothing()
    {
        string spec = Repository.In("src/VirtioSharp.Spec/VirtioSharp.Spec.csproj");

        Assert.Empty(Repository.Items(spec, "PackageReference").Concat(Repository.Items(spec, "ProjectReference")));
    }

    [Fact]
    public void Forbidden_arrows_cannot_be_drawn_by_way_of_a_third_project()
    {
        Assert.DoesNotContain("Drivers", Reach("Devices"));
        Assert.DoesNotContain("Devices", Reach("Drivers"));
        Assert.DoesNotContain("Linux", Reach("Core"));
        Assert.Empty(Reach("Devices").Union(Reach("Drivers")).Union(Reach("Backends")).Intersect(["Transports", "VhostUser", "VfioUser", "Qemu"]));
        Assert.Empty(Reach("Transports").Union(Reach("VhostUser")).Union(Reach("Qemu")).Intersect(["Devices", "Drivers"]));
    }

    private static HashSet<string> Reach(string project) =>
        [.. Allowed[project].SelectMany(next => Reach(next).Append(next))];

    private static string ShortName(string? project) => (project ?? "").Replace("VirtioSharp.", "", StringComparison.Ordinal);
}
