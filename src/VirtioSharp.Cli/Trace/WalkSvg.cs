using System.Globalization;
using System.Security;
using System.Text;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Trace;

/// <summary>A walk as a picture: time goes down, the sides stand beside each other, and every step is a box in its side's lane.</summary>
/// <remarks>Steps are drawn in order, not to scale: the probe takes a thousand times as long as a pop. The figures are beside them.</remarks>
internal static class WalkSvg
{
    private const int LaneWidth = 300;
    private const int Margin = 90;
    private const int RowHeight = 24;
    private const int DetailHeight = 14;
    private const int Top = 60;

    public static void Write(Walk walk, TextWriter output)
    {
        var body = new StringBuilder();
        int y = Top;
        WalkStep? before = null;
        foreach (WalkStep step in walk.Steps)
        {
            int height = RowHeight + DetailHeight * step.Details.Count;
            if (before is not null && before.Side != step.Side)
                Arrow(body, Middle(before.Side), Middle(step.Side), y);
            Box(body, step, y, height);
            y += height + 6;
            before = step;
        }

        int width = Margin + 3 * LaneWidth + 20;
        output.WriteLine(Line($"""
            <svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 20}" viewBox="0 0 {width} {y + 20}" font-family="ui-monospace, monospace" font-size="12">
            <defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#666"/></marker></defs>
            <rect width="100%" height="100%" fill="#ffffff"/>
            """));
        foreach (WalkSide side in Enum.GetValues<WalkSide>())
        {
            output.WriteLine(Line($"""<text x="{Middle(side)}" y="30" text-anchor="middle" font-size="16" font-weight="bold">{side}</text>"""));
            output.WriteLine(Line($"""<line x1="{Middle(side)}" y1="40" x2="{Middle(side)}" y2="{y}" stroke="#ccc"/>"""));
        }

        output.Write(body);
        output.WriteLine("</svg>");
    }

    private static void Box(StringBuilder body, WalkStep step, int y, int height)
    {
        int x = Middle(step.Side) - LaneWidth / 2 + 8;
        string fill = step.Side switch { WalkSide.Driver => "#dbeafe", WalkSide.Transport => "#fef3c7", _ => "#dcfce7" };
        body.AppendLine(Line($"""<text x="{Margin - 8}" y="{y + 16}" text-anchor="end" fill="#666">{step.Start.TotalMicroseconds:F1} µs</text>"""));
        body.AppendLine(Line($"""<rect x="{x}" y="{y}" width="{LaneWidth - 16}" height="{height}" rx="4" fill="{fill}" stroke="#999"/>"""));
        body.AppendLine(Line($"""<text x="{x + 8}" y="{y + 16}"><tspan font-weight="bold">{Escape(step.Name)}</tspan> {Escape(step.Section)} <tspan fill="#666">{step.Duration.TotalMicroseconds:F1} µs</tspan></text>"""));
        for (int i = 0; i < step.Details.Count; i++)
            body.AppendLine(Line($"""<text x="{x + 8}" y="{y + RowHeight + 6 + i * DetailHeight}" font-size="10">{Escape(Short(step.Details[i]))}<title>{Escape(step.Details[i])}</title></text>"""));
    }

    private static void Arrow(StringBuilder body, int from, int to, int y) =>
        body.AppendLine(Line($"""<line x1="{from}" y1="{y - 3}" x2="{to}" y2="{y - 3}" stroke="#666" marker-end="url(#tip)"/>"""));

    private static int Middle(WalkSide side) => Margin + (int)side * LaneWidth + LaneWidth / 2;

    private static string Short(string text) => text.Length <= 46 ? text : text[..45] + "…";

    private static string Escape(string text) => SecurityElement.Escape(text);

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
