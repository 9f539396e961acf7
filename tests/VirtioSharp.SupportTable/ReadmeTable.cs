using System.Text;

namespace VirtioSharp.SupportTable;

/// <summary>The README's support table: a mark per feature and transport, which leads to the tests behind it.</summary>
internal static class ReadmeTable
{
    private const string Begin = "<!-- support:begin -->";
    private const string End = "<!-- support:end -->";

    /// <summary>The table in Markdown.</summary>
    public static string Render(Proofs proofs)
    {
        var table = new StringBuilder();
        table.Append("| |").AppendJoin("", proofs.Transports.Select(name => $" {name} |")).Append('\n');
        table.Append("|---|").AppendJoin("", proofs.Transports.Select(_ => ":---:|")).Append('\n');
        foreach (string feature in proofs.Features)
        {
            table.Append($"| [{feature}]({SupportPage.File}#{SupportPage.Anchor(feature)}) |");
            table.AppendJoin("", proofs.Transports.Select(transport => $" {proofs.Mark(feature, transport)} |")).Append('\n');
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
}
