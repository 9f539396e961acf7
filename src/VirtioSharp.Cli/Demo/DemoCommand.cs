using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Spectre.Console;
using VirtioSharp.Cli.Output;
using VirtioSharp.Cli.Trace;
using VirtioSharp.Spec;

namespace VirtioSharp.Cli.Demo;

/// <summary><c>vio demo</c>: the C# driver and the C# device joined in one process. Needs nothing but the runtime.</summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        var device = new Option<DemoDeviceKind>("--device")
        {
            Description = "rng gives random bytes; blk is a disk in memory, whose sectors are written and read back",
            DefaultValueFactory = _ => DemoDeviceKind.Rng,
        };
        var bytes = new Option<int>("--bytes")
        {
            Description = "How many bytes the driver reads",
            HelpName = "N",
            DefaultValueFactory = _ => 2500,
        };
        var transport = new Option<DemoTransport>("--transport")
        {
            Description = "What is between driver and device",
            DefaultValueFactory = _ => DemoTransport.Pci,
        };
        var trace = new Option<bool>("--trace") { Description = "Show the first request's way through driver, transport and device instead" };
        Option<WalkFormat> format = WalkOutput.CreateOption("text for people, json for programs; of a trace: json for ui.perfetto.dev, svg for a page");
        var command = new DocumentedCommand("demo", "Join a driver and a device in this process and read through their rings", """
            Example:
              vio demo --bytes 64
              vio demo --trace
              vio demo --device blk --trace
            """) { device, bytes, transport, trace, format };
        command.SetAction(arguments => arguments.GetValue(trace)
            ? TraceDemo.Run(DemoDevice.Of(arguments.GetValue(device)), arguments.GetValue(transport), arguments.GetValue(format))
            : Run(DemoDevice.Of(arguments.GetValue(device)), arguments.GetValue(bytes), arguments.GetValue(transport), arguments.GetValue(format)));
        return command;
    }

    /// <summary>Also what <c>vio boot</c> falls back to.</summary>
    public static int Run(DemoDevice device, int bytes, DemoTransport kind, WalkFormat format)
    {
        if (bytes is <= 0 or > 1 << 30)
            throw new UserException($"--bytes {bytes}: give 1 to {1 << 30}", ExitCode.Usage);
        if (format == WalkFormat.Svg)
            throw new UserException("--format svg is a picture of a trace: give --trace, too", ExitCode.Usage);

        using var machine = new DemoMachine(device, kind);
        byte[] random = new byte[bytes];
        long start = Stopwatch.GetTimestamp();
        int read = device.Read(machine.Driver, random);
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        if (read < bytes)
            throw new UserException($"the device gave {read} of {bytes} bytes and then {(device.Id == DeviceId.Block ? "not what was written" : "kept the driver waiting")}");

        if (format == WalkFormat.Json)
        {
            Console.WriteLine(JsonSerializer.Serialize(
                new DemoResult(read, Convert.ToHexStringLower(random.AsSpan(0, Math.Min(read, 32))), took.TotalMilliseconds, [.. machine.Host?.DriverFeatures ?? default], machine.Host?.Statistics(0)),
                DemoJson.Default.DemoResult));
            return ExitCode.Success;
        }

        AnsiConsole.WriteLine(machine.Picture);
        AnsiConsole.WriteLine();
        HexDump.Write(random.AsSpan(0, Math.Min(read, 64)));
        AnsiConsole.WriteLine();
        Table table = Tables.TwoColumns();
        if (machine.Host is { } host)
        {
            table.AddRow("status", host.Status.ToString());
            table.AddRow("features", host.DriverFeatures.ToString());
            Tables.AddCounts(table, host.Statistics(0));
        }

        table.AddRow("time", $"{took.TotalMilliseconds:F2} ms for {read} bytes");
        AnsiConsole.Write(table);
        return ExitCode.Success;
    }
}
