using Spectre.Console;
using VirtioSharp.Core.Queues;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Cli.Output;

/// <summary>Tables that read well without colour, too.</summary>
internal static class Tables
{
    public static Table TwoColumns() => new Table().Border(TableBorder.Rounded).HideHeaders().AddColumn("").AddColumn("");

    /// <summary>What a queue has done, a line each.</summary>
    public static void AddCounts(Table table, QueueStatistics counts)
    {
        table.AddRow("kicks", Number(counts.Notifications));
        table.AddRow("chains", counts.FaultyChains == 0 ? Number(counts.Chains) : $"{counts.Chains:N0}, {counts.FaultyChains:N0} of them faulty");
        table.AddRow("bytes", Number(counts.BytesWritten));
        table.AddRow("interrupts", $"{counts.Interrupts:N0} sent, {counts.SuppressedInterrupts:N0} not wanted");
    }

    /// <summary>What a device saw of one front-end.</summary>
    public static Table Of(SessionReport report)
    {
        Table table = TwoColumns();
        table.Title("what the device saw");
        table.AddRow("protocol messages", Markup.Escape(string.Join('\n', report.Messages
            .Select((message, index) => (message, index))
            .GroupBy(pair => pair.index / 3, pair => $"{pair.message.Key}\u00A0×{pair.message.Value}")
            .Select(line => string.Join("  ", line)))));
        table.AddRow("protocol features", Markup.Escape(report.ProtocolFeatures.ToString()));
        table.AddRow("negotiated features", Markup.Escape(report.DriverFeatures.ToString()));
        table.AddRow("memory regions", $"{report.MemoryRegions}");
        table.AddRow("ring starts", $"{report.RingStarts}");
        foreach (QueueReport queue in report.Queues.Where(queue => queue.Size > 0)) // the others nobody used
        {
            table.AddRow($"queue '{queue.Name}'", $"{queue.Size} entries");
            AddCounts(table, queue.Counts);
        }

        foreach ((string fault, int times) in report.Faults)
            table.AddRow($"fault {fault}", $"×{times}");
        if (report.Ended is { } reason)
            table.AddRow("ended", Markup.Escape(reason));
        return table;
    }

    private static string Number(ulong value) => $"{value:N0}";
}
