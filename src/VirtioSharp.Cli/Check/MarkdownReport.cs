using VirtioSharp.Check;

namespace VirtioSharp.Cli.Check;

/// <summary>Tables for a document.</summary>
internal static class MarkdownReport
{
    public static void Write(IReadOnlyList<(CheckGroup Group, CheckResult Result)> results)
    {
        int Count(Verdict verdict) => results.Count(row => row.Result.Verdict == verdict);

        Console.WriteLine($"{Count(Verdict.Pass)} passed, {Count(Verdict.Fail)} failed, {Count(Verdict.Skip)} skipped.");
        foreach (var group in results.GroupBy(row => row.Group.Title, row => row.Result))
        {
            Console.WriteLine($"\n## {group.Key}\n\n| | Case | Required | Seen |\n|---|---|---|---|");
            foreach (CheckResult result in group)
            {
                string verdict = result.Verdict switch
                {
                    Verdict.Pass => "PASS",
                    Verdict.Fail => "**FAIL**",
                    _ => "SKIP",
                };
                Console.WriteLine($"| {verdict} | `{result.Case.Name}` | {Cell(result.Case.Requirement)} <sub>{Cell(result.Case.Source)}</sub> | {Cell(result.Seen)} |");
            }
        }
    }

    /// <summary>Text that does not end its cell.</summary>
    internal static string Cell(string text) =>
        text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("|", "\\|", StringComparison.Ordinal)
            .Replace("<", "&lt;", StringComparison.Ordinal).Replace("_", "\\_", StringComparison.Ordinal).ReplaceLineEndings(" ");
}
