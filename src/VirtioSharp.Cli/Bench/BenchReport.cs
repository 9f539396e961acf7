using System.Globalization;
using System.Text.Json;
using Spectre.Console;
using VirtioSharp.Cli.Output;

namespace VirtioSharp.Cli.Bench;

/// <summary>Prints what was measured: a column for each direction.</summary>
internal static class BenchReport
{
    public static void Print(BenchResult result, string name, OutputFormat format)
    {
        if (format == OutputFormat.Json)
        {
            Console.WriteLine(JsonSerializer.Serialize(result, BenchJson.Default.BenchResult));
            return;
        }

        Table table = new Table().Border(TableBorder.Rounded).AddColumn("");
        List<BenchSide> sides = [];
        foreach ((string title, BenchSide? side) in ((string, BenchSide?)[])[("read", result.Read), ("write", result.Write)])
        {
            if (side is null)
                continue;
            sides.Add(side);
            table.AddColumn(new TableColumn(title).RightAligned());
        }

        Row("IOPS", side => Line($"{side.Iops:N0}"));
        Row("MiB/s", side => Line($"{side.MibPerSecond:N1}"));
        Row("latency, µs: min", side => Micro(side.LatencyMicroseconds.Min));
        Row("mean", side => Micro(side.LatencyMicroseconds.Mean));
        Row("p50", side => Micro(side.LatencyMicroseconds.P50));
        Row("p90", side => Micro(side.LatencyMicroseconds.P90));
        Row("p99", side => Micro(side.LatencyMicroseconds.P99));
        Row("p99.9", side => Micro(side.LatencyMicroseconds.P999));
        Row("max", side => Micro(side.LatencyMicroseconds.Max));
        Row("errors", side => Line($"{side.Errors:N0}"));
        AnsiConsole.WriteLine(Line($"{name}, {result.Ring} ring, {result.Seconds:F1} s"));
        AnsiConsole.Write(table);
        AnsiConsole.WriteLine(result.Daemon is { CpuMicrosecondsPerRequest: { } cost } daemon
            ? Line($"The daemon (process {daemon.ProcessId}) used {cost:F2} µs of processor time for a request, {daemon.Processors:P0} of a processor.")
            : "What it cost the daemon is not known: its process cannot be seen from here.");

        void Row(string what, Func<BenchSide, string> figure) => table.AddRow([what, .. sides.Select(figure)]);
    }

    private static string Micro(double microseconds) => Line($"{microseconds:N1}");

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
