using System.Globalization;
using System.Text;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Trace;

/// <summary>A walk for a terminal: the steps as a tree, who worked when, and the ring before and after.</summary>
internal static class WalkText
{
    private const int TimelineWidth = 88;
    private const int MostDetails = 6;

    public static void Write(Walk walk, TextWriter output)
    {
        Tree(walk, output);
        output.WriteLine();
        Timeline(walk, output);
        if (walk is { RingBefore: { } before, RingAfter: { } after })
        {
            output.WriteLine();
            Rings(before, after, output);
        }
    }

    private static void Tree(Walk walk, TextWriter output)
    {
        output.WriteLine("    at µs    took  who        step");
        foreach (WalkStep step in walk.Steps)
        {
            string indent = Indent(step.Depth);
            bool isOne = step.Details.Count == 1;
            output.WriteLine(Line($"{Micro(step.Start),9} {Micro(step.Duration),7}  {Name(step.Side),-9}  {indent}{step.Name}  {(isOne ? step.Details[0] + "  " : "")}{step.Section}").TrimEnd());
            if (isOne)
                continue;
            foreach (string detail in step.Details.Take(MostDetails))
                output.WriteLine(Line($"{"",30}{indent}  {detail}"));
            if (step.Details.Count > MostDetails)
                output.WriteLine(Line($"{"",30}{indent}  … {step.Details.Count - MostDetails} more"));
        }
    }

    /// <summary>A row for each side: the innermost step that was under way decides whose moment it was.</summary>
    private static void Timeline(Walk walk, TextWriter output)
    {
        TimeSpan end = walk.Steps.Max(step => step.Start + step.Duration);
        double perColumn = Math.Max(1, (double)end.Ticks / TimelineWidth);
        var owner = new WalkSide?[TimelineWidth];
        foreach (WalkStep step in walk.Steps) // parents come before what they contain
        {
            int from = Math.Min(TimelineWidth - 1, (int)(step.Start.Ticks / perColumn));
            int to = Math.Clamp((int)Math.Ceiling((step.Start + step.Duration).Ticks / perColumn), from + 1, TimelineWidth);
            Array.Fill(owner, step.Side, from, to - from);
        }

        foreach (WalkSide side in Enum.GetValues<WalkSide>())
        {
            var row = new StringBuilder(Line($"  {Name(side),-9} │"));
            foreach (WalkSide? at in owner)
                row.Append(at == side ? '█' : at is null ? ' ' : '·');
            output.WriteLine(row.Append('│'));
        }

        string last = $"{Micro(end)} µs";
        output.WriteLine("             0" + last.PadLeft(TimelineWidth - 1));
    }

    private static void Rings(RingPicture before, RingPicture after, TextWriter output)
    {
        Dictionary<(string, string), string> was = before.Fields.ToDictionary(field => (field.Area, field.Name), field => field.Value);
        output.WriteLine($"the {after.Format} ring            before                                after");
        string area = "";
        foreach (RingField field in after.Fields)
        {
            if (field.Area != area)
                output.WriteLine($"  {area = field.Area}");
            string old = was.GetValueOrDefault((field.Area, field.Name), "0");
            output.WriteLine(Line($"    {field.Name,-18} {old,-36}  {field.Value}{(old == field.Value ? "" : "   ◄")}"));
        }
    }

    private static string Indent(int depth) => depth == 0 ? "" : string.Concat(Enumerable.Repeat("│ ", depth - 1)) + "├ ";

    private static string Name(WalkSide side) => side.ToString().ToLowerInvariant();

    private static string Micro(TimeSpan time) => time.TotalMicroseconds.ToString("F1", CultureInfo.InvariantCulture);

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
