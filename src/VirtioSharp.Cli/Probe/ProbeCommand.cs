using System.CommandLine;
using System.Text.Json;
using Spectre.Console;
using VirtioSharp.Cli.Drive;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.Cli.Probe;

/// <summary><c>vio probe</c>: asks a vhost-user daemon what it is, starts nothing in it, and leaves.</summary>
internal static class ProbeCommand
{
    public static Command Create()
    {
        Option<string?> socketPath = BackEnds.SocketPathOption();
        var device = new Option<string?>("--device")
        {
            Description = "What kind of device it is, which the protocol does not tell: names its features and configuration",
            HelpName = "KIND",
        };
        device.AcceptOnlyFromAmong([.. DeviceSheet.All.Select(sheet => sheet.Name)]);
        Option<OutputFormat> format = OutputFormatOption.Create();
        var command = new DocumentedCommand("probe", "Show what a vhost-user daemon offers: features, queues, configuration space", """
            Example:
              vio probe --socket-path /tmp/rng.sock
              vio probe --socket-path /tmp/blk.sock --device blk --format json
            """) { socketPath, device, format };
        command.SetAction(arguments => Run(BackEnds.Require(arguments.GetValue(socketPath), "probe"), arguments.GetValue(device), arguments.GetValue(format)));
        return command;
    }

    private static int Run(string path, string? name, OutputFormat format)
    {
        DeviceSheet? device = DeviceSheet.All.FirstOrDefault(sheet => sheet.Name == name);
        ProbeResult result = Ask(path, device);
        if (format == OutputFormat.Json)
            Console.WriteLine(JsonSerializer.Serialize(result, ProbeJson.Default.ProbeResult));
        else
            Write(result);
        return ExitCode.Success;
    }

    private static ProbeResult Ask(string path, DeviceSheet? device)
    {
        // Nothing that the daemon would have to keep: no memory, no socket for its requests.
        var options = new VhostUserFrontEndOptions { Withheld = ProtocolFeatures.BackEndReq, MemoryBytes = 4096 };
        using VhostUserFrontEnd frontEnd = BackEnds.Connect(path, device?.Id ?? DeviceId.None, options);
        try
        {
            bool hasConfiguration = (frontEnd.Protocol & ProtocolFeatures.Config) != 0;
            return ProbeResult.Of(path, device, frontEnd.Offer, hasConfiguration ? frontEnd.ReadWholeConfiguration() : null);
        }
        catch (TransportException failed)
        {
            throw BackEnds.Explain(path, failed);
        }
    }

    private static void Write(ProbeResult result)
    {
        Table table = Tables.TwoColumns();
        table.Title(Markup.Escape(result.SocketPath));
        table.AddRow("features", Markup.Escape(string.Join(' ', result.Features)));
        table.AddRow("queues", result.Queues is { } queues ? $"{queues}" : "cannot be asked (no MQ): as many as its kind has at the least");
        table.AddRow("largest ring", "the protocol does not tell");
        table.AddRow("memory slots", result.MemorySlots is { } slots ? $"{slots}" : "cannot be asked (no CONFIGURE_MEM_SLOTS): 8");
        table.AddRow("configuration", result.Configuration is { } space ? $"{space.Size} bytes" : "cannot be read (no CONFIG)");
        AnsiConsole.Write(table);

        Table protocol = new Table().Border(TableBorder.Rounded).Title("protocol features").AddColumn(new TableColumn("bit").RightAligned()).AddColumn("name").AddColumn("what it is for");
        foreach (ProtocolFeatureSheet feature in result.ProtocolFeatures)
            protocol.AddRow($"{feature.Bit}", feature.Name, Markup.Escape(feature.Purpose));
        if (result.ProtocolFeatures.Count > 0)
            AnsiConsole.Write(protocol);
        if (result.Configuration is { Size: > 0 } configuration)
            Write(configuration);
    }

    private static void Write(ConfigurationResult configuration)
    {
        byte[] bytes = Convert.FromHexString(configuration.Bytes);
        int used = bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        AnsiConsole.WriteLine(used < bytes.Length ? $"configuration space, zeroes from {used:x4} on" : "configuration space");
        HexDump.Write(bytes.AsSpan(0, used));
        if (configuration.Fields.Count == 0)
            return;
        Table fields = Tables.TwoColumns();
        foreach ((string name, string value) in configuration.Fields)
            fields.AddRow(name, value);
        AnsiConsole.Write(fields);
    }
}
