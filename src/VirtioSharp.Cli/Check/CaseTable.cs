using System.Text.Json;
using VirtioSharp.Check;

namespace VirtioSharp.Cli.Check;

/// <summary><c>vio check --list</c>: what there is to check.</summary>
internal static class CaseTable
{
    public static void Write(CheckFormat format, CheckGroup[] groups)
    {
        switch (format)
        {
            case CheckFormat.Json:
                CaseRow[] rows = [.. groups.SelectMany(group => group.Cases.Select(one => new CaseRow(group.Title, one.Name, one.Requirement, one.Source, one.Condition)))];
                Console.WriteLine(JsonSerializer.Serialize(rows, CheckJsonContext.Default.CaseRowArray));
                break;
            case CheckFormat.Markdown:
                WriteMarkdown(groups);
                break;
            default:
                WriteText(groups);
                break;
        }
    }

    private static void WriteMarkdown(CheckGroup[] groups)
    {
        Console.WriteLine("# What `vio check` checks\n");
        Console.WriteLine($"{groups.Sum(group => group.Cases.Count)} cases. This page is what `vio check --list --format markdown` prints. A case that needs an option is");
        Console.WriteLine("skipped without it; one about a feature is skipped where the daemon does not offer that. After every case the daemon must");
        Console.WriteLine("serve a new session.");
        foreach (CheckGroup group in groups)
        {
            Console.WriteLine($"\n## {group.Title}\n\n| Case | The daemon has to | From | Needs |\n|---|---|---|---|");
            foreach (CheckCase one in group.Cases)
                Console.WriteLine($"| `{one.Name}` | {MarkdownReport.Cell(one.Requirement)} | {MarkdownReport.Cell(one.Source)} | {one.Condition} |");
        }
    }

    private static void WriteText(CheckGroup[] groups)
    {
        foreach (CheckGroup group in groups)
        {
            Console.WriteLine(group.Title);
            foreach (CheckCase one in group.Cases)
            {
                Console.WriteLine($"  {one.Name,-36} {one.Requirement}");
                Console.WriteLine($"  {"",-36} ({one.Source}{(one.Condition.Length > 0 ? $"; needs {one.Condition}" : "")})");
            }
        }
    }
}
