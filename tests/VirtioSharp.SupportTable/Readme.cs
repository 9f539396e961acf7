namespace VirtioSharp.SupportTable;

/// <summary>The README.md in the working directory, which for <c>./test</c> is the repository.</summary>
internal static class Readme
{
    private const string File = "README.md";

    /// <summary>Null when the table is the run's; else one line that says what to do.</summary>
    public static string? Check(TestRun run)
    {
        string readme = Text();
        return Updated(readme, run) is not { } updated ? "README.md has no support table: add <!-- support:begin --> and <!-- support:end -->"
            : updated != readme ? "the README's support table is not what the tests prove: run ./test --write-table"
            : null;
    }

    public static void Write(TestRun run)
    {
        string readme = Text();
        if (Updated(readme, run) is { } updated)
        {
            System.IO.File.WriteAllText(File, updated);
            Console.WriteLine(updated == readme ? "The README's support table was right." : "The README's support table is written.");
        }
        else
        {
            Console.WriteLine("README.md has no <!-- support:begin --> and <!-- support:end -->: the table was not written.");
        }
    }

    private static string? Updated(string readme, TestRun run) => ReadmeTable.Put(readme, ReadmeTable.Render(run.Tests, SourceFile));

    private static string Text() => System.IO.File.Exists(File) ? System.IO.File.ReadAllText(File) : "";

    // A test class is in the file of its name: the house's rule, and quicker than asking the symbols.
    private static string? SourceFile(string type)
    {
        string name = type[(type.LastIndexOf('.') + 1)..] + ".cs";
        string[] files = [.. Directory.GetFiles("tests", name, SearchOption.AllDirectories).Select(path => path.Replace('\\', '/'))];
        return files.Length == 1 ? files[0] : files.FirstOrDefault(path => IsIn(type, path));
    }

    // Several classes may have one name; then folders are named like namespaces, which is the house's rule, too.
    private static bool IsIn(string type, string path) => path.Replace('/', '.') == $"tests.{type}.cs";
}
