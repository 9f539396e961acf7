using System.Reflection;
using System.Xml.Linq;

namespace VirtioSharp.Repository.Tests;

/// <summary>The files that the tests here look at. What the build makes (bin, obj, artifacts) is not among them.</summary>
internal static class Repository
{
    private static readonly HashSet<string> Made = ["bin", "obj", "artifacts", ".git", "BenchmarkDotNet.Artifacts"];

    public static string Root { get; } = FindRoot();

    /// <summary>Every project in src, as its file.</summary>
    public static IReadOnlyList<string> SourceProjects { get; } = Files("*.csproj", "src");

    /// <summary>Every library in src, loaded: all but vio.</summary>
    public static IReadOnlyList<Assembly> Libraries { get; } =
        [.. SourceProjects.Select(NameOf).Where(name => name != "VirtioSharp.Cli").Select(Assembly.Load)];

    public static string NameOf(string file) => Path.GetFileNameWithoutExtension(file);

    public static string In(string path) => Path.Combine(Root, path);

    /// <summary>The path as one would say it from the root.</summary>
    public static string Relative(string file) => Path.GetRelativePath(Root, file);

    public static XDocument Xml(string file) => XDocument.Load(file);

    /// <summary>The <c>Include</c> of each <paramref name="item"/> in a project.</summary>
    public static IEnumerable<string> Items(string project, string item) =>
        Xml(project).Descendants(item).Select(reference => (string?)reference.Attribute("Include") ?? "");

    public static IReadOnlyList<string> Files(string pattern, string under = "") =>
        [.. Walk(In(under), pattern).Order(StringComparer.Ordinal)];

    private static IEnumerable<string> Walk(string directory, string pattern) =>
        !Directory.Exists(directory) ? [] : Directory.GetFiles(directory, pattern).Concat(
            Directory.GetDirectories(directory).Where(child => !Made.Contains(Path.GetFileName(child))).SelectMany(child => Walk(child, pattern)));

    private static string FindRoot()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "VirtioSharp.slnx")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new InvalidOperationException($"No VirtioSharp.slnx above {AppContext.BaseDirectory}.");
    }
}
