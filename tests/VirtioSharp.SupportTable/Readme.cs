using System.Text.RegularExpressions;

namespace VirtioSharp.SupportTable;

/// <summary>The README's table and the page behind it, in the working directory, which for <c>./test</c> is the repository.</summary>
internal static partial class Readme
{
    private const string File = "README.md";

    /// <summary>Null when both are the run's; else one line that says what to do.</summary>
    public static string? Check(TestRun run)
    {
        var proofs = new Proofs(run.Tests);
        if (Updated(proofs) is not { } readme)
            return "README.md has no support table: add <!-- support:begin --> and <!-- support:end -->";
        return readme != Text(File) || Page(proofs) != Text(SupportPage.File)
            ? $"the support table (README.md, {SupportPage.File}) is not what the tests prove: run ./test --write-table"
            : null;
    }

    public static void Write(TestRun run)
    {
        var proofs = new Proofs(run.Tests);
        if (Updated(proofs) is { } readme)
        {
            System.IO.File.WriteAllText(File, readme);
            System.IO.File.WriteAllText(SupportPage.File, Page(proofs));
            Console.WriteLine($"README.md and {SupportPage.File} say what the tests prove.");
        }
        else
        {
            Console.WriteLine("README.md has no <!-- support:begin --> and <!-- support:end -->: the table was not written.");
        }
    }

    private static string? Updated(Proofs proofs) => ReadmeTable.Put(Text(File), ReadmeTable.Render(proofs));

    private static string Page(Proofs proofs)
    {
        ILookup<string, string> files = TestClasses();
        return SupportPage.Render(proofs, type => FileOf(type, files) is { } path ? $"../{path}" : null);
    }

    private static string Text(string file) => System.IO.File.Exists(file) ? System.IO.File.ReadAllText(file) : "";

    /// <summary>The files of the tests, by the classes declared in them: several may share a file, or a name.</summary>
    private static ILookup<string, string> TestClasses() => Directory.GetFiles("tests", "*.cs", SearchOption.AllDirectories)
        .Select(path => path.Replace('\\', '/'))
        .Order(StringComparer.Ordinal)
        .SelectMany(path => Declaration().Matches(System.IO.File.ReadAllText(path)).Select(match => (Name: match.Groups[1].Value, Path: path)))
        .ToLookup(declared => declared.Name, declared => declared.Path);

    // Where several classes have one name, folders are named like namespaces, which is the house's rule.
    private static string? FileOf(string type, ILookup<string, string> files)
    {
        string[] found = [.. files[new ProvingClass(type, 0).ShortName].Distinct()];
        return found.Length == 1 ? found[0] : found.FirstOrDefault(path => path.Replace('/', '.') == $"tests.{type}.cs");
    }

    [GeneratedRegex(@"^\s*(?:public |internal |sealed |static |abstract |partial )*class (\w+)", RegexOptions.Multiline)]
    private static partial Regex Declaration();
}
