using System.Text;

namespace VirtioSharp.SupportTable;

/// <summary>
/// The README's support table: a row per feature, a column per transport, and in each cell the test classes that
/// prove it. Classes and not counts, so that a new test does not change the README; a new proof does.
/// </summary>
internal static class ReadmeTable
{
    private const string Begin = "<!-- support:begin -->";
    private const string End = "<!-- support:end -->";

    /// <summary>The table in Markdown. <paramref name="link"/> finds a class's file, or null.</summary>
    public static string Render(IReadOnlyList<RanTest> tests, Func<string, string?> link)
    {
        var cells = tests
            .SelectMany(test => test.Proves.Select(proof => (Place: Split(proof), Test: test)))
            .ToLookup(proof => proof.Place, proof => proof.Test);
        var features = Order.Apply(Order.Features, cells.Select(cell => cell.Key.Feature));
        var transports = Order.Apply(Order.Transports, cells.Select(cell => cell.Key.Transport));

        var table = new StringBuilder();
        table.Append("| |").AppendJoin("", transports.Select(name => $" {name} |")).Append('\n');
        table.Append("|---|").AppendJoin("", transports.Select(_ => "---|")).Append('\n');
        foreach (string feature in features)
        {
            var row = transports.Select(transport => $" {Cell(cells[(feature, transport)], link)} |");
            table.Append("| ").Append(feature).Append(" |").AppendJoin("", row).Append('\n');
        }

        return table.ToString();
    }

    /// <summary><paramref name="readme"/> with <paramref name="table"/> between the two marks, or null without them.</summary>
    public static string? Put(string readme, string table)
    {
        int begin = readme.IndexOf(Begin, StringComparison.Ordinal);
        int end = readme.IndexOf(End, StringComparison.Ordinal);
        return begin < 0 || end < begin ? null : $"{readme[..(begin + Begin.Length)]}\n{table}{readme[end..]}";
    }

    private static (string Feature, string Transport) Split(string proof)
    {
        int bar = proof.LastIndexOf(" | ", StringComparison.Ordinal);
        return bar < 0 ? (proof, "any") : (proof[..bar], proof[(bar + 3)..]);
    }

    // A class is as good as its worst test in this cell.
    private static string Cell(IEnumerable<RanTest> proofs, Func<string, string?> link)
    {
        var classes = proofs.GroupBy(test => test.Class).OrderBy(group => ShortName(group.Key), StringComparer.Ordinal).ToList();
        string[] parts =
        [
            Passed(group => group.All(test => test.Outcome == Outcome.Passed)),
            List("✘ failing:", group => group.Any(test => test.Outcome == Outcome.Failed)),
            List("skipped:", group => group.Any(test => test.Outcome == Outcome.Skipped) && group.All(test => test.Outcome != Outcome.Failed)),
        ];
        string cell = string.Join("; ", parts.Where(part => part.Length > 0));
        return cell.Length > 0 ? cell : "—";

        // There are many, and the table has many columns: a mark each, with the name to point at.
        string Passed(Func<IGrouping<string, RanTest>, bool> which) => string.Join(" ", classes.Where(which).Select(group =>
            link(group.Key) is { } path ? $"[✔]({path} \"{ShortName(group.Key)}\")" : "✔"));

        string List(string mark, Func<IGrouping<string, RanTest>, bool> which)
        {
            string[] names = [.. classes.Where(which).Select(group => Linked(group.Key))];
            return names.Length == 0 ? "" : $"{mark} {string.Join(", ", names)}";
        }

        string Linked(string type) => link(type) is { } path ? $"[{ShortName(type)}]({path})" : ShortName(type);
    }

    private static string ShortName(string type) => type[(type.LastIndexOf('.') + 1)..];
}
