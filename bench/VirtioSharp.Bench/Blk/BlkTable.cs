using System.Globalization;

namespace VirtioSharp.Bench.Blk;

/// <summary>Prints rows as they come: for a terminal, or for a document.</summary>
internal sealed class BlkTable(bool markdown)
{
    private static readonly (string Title, int Width)[] Columns =
        [("store", 10), ("requests", 20), ("IOPS ours", 11), ("QEMU's", 11), ("its best", 8), ("ratio (min–max)", 20), ("CPU µs ours", 11), ("QEMU's", 8), ("p99 µs ours", 11), ("QEMU's", 10)];

    public void Head()
    {
        Line([.. Columns.Select(column => column.Title)]);
        if (markdown)
            Console.WriteLine($"|{string.Concat(Columns.Select((_, i) => i < 2 ? "---|" : "---:|"))}");
    }

    /// <summary>A row: round by round, ours and QEMU's in the way that was its fastest.</summary>
    public void Row(string store, BlkWorkload workload, IReadOnlyList<BlkFigures> ours, string way, IReadOnlyList<BlkFigures> theirs)
    {
        double[] ratios = [.. ours.Zip(theirs, (our, their) => our.PerSecond / their.PerSecond)];
        Line([
            store, workload.ToString(), Show(Median(ours, f => f.PerSecond), "N0"), Show(Median(theirs, f => f.PerSecond), "N0"), way,
            $"{Show(Median(ratios), "F2")} ({Show(ratios.Min(), "F2")}–{Show(ratios.Max(), "F2")})",
            Show(Median(ours, f => f.Cpu), "F1"), Show(Median(theirs, f => f.Cpu), "F1"),
            Show(Median(ours, f => f.P99), "N0"), Show(Median(theirs, f => f.P99), "N0")]);
    }

    public static double Median(IEnumerable<BlkFigures> rounds, Func<BlkFigures, double> figure) => Median(rounds.Select(figure));

    private static double Median(IEnumerable<double> figures)
    {
        double[] sorted = [.. figures.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private void Line(string[] cells) => Console.WriteLine(markdown
        ? $"| {string.Join(" | ", cells)} |"
        : string.Join("  ", cells.Select((cell, i) => i < 2 ? cell.PadRight(Columns[i].Width) : cell.PadLeft(Columns[i].Width))).TrimEnd());

    private static string Show(double figure, string format) => figure.ToString(format, CultureInfo.InvariantCulture);
}
