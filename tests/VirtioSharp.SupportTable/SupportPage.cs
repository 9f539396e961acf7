using System.Text;

namespace VirtioSharp.SupportTable;

/// <summary>
/// The page behind the README's table: for each feature and transport the test classes that prove it. Classes and not
/// counts, so that a new test does not change the page; a new proof does.
/// </summary>
internal static class SupportPage
{
    public const string File = "docs/support.md";

    private static readonly string[] Marks = ["", " (skipped)", " (✘ failing)"];

    /// <summary>The page in Markdown. <paramref name="link"/> finds a class's file, seen from the page, or null.</summary>
    public static string Render(Proofs proofs, Func<string, string?> link)
    {
        var page = new StringBuilder("""
            # What works, and the tests that prove it

            Made from the test results by `./test --write-table`. The [README](../README.md) has the same as a table.

            """.ReplaceLineEndings("\n"));
        foreach (string feature in proofs.Features)
        {
            page.Append($"\n## {feature}\n\n");
            foreach (string transport in proofs.Transports)
            {
                IReadOnlyList<ProvingClass> classes = proofs.Classes(feature, transport);
                if (classes.Count > 0)
                    page.Append($"- {transport}: ").AppendJoin(", ", classes.Select(Describe)).Append('\n');
            }
        }

        return page.ToString();

        string Describe(ProvingClass type) =>
            (link(type.Name) is { } path ? $"[{type.ShortName}]({path})" : type.ShortName) + Marks[type.Badness];
    }

    /// <summary>What a heading is called in a link: Markdown's own rule.</summary>
    public static string Anchor(string heading) =>
        string.Concat(heading.ToLowerInvariant().Where(letter => char.IsLetterOrDigit(letter) || letter is ' ' or '-' or '_')).Replace(' ', '-');
}
