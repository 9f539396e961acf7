using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Spectre.Console;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Cli.Trace;
using VirtioSharp.Transports.Loopback;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Demo;

/// <summary><c>vio demo</c>: the C# driver and the C# device joined in one process. Needs nothing but the runtime.</summary>
internal static class DemoCommand
{
    public static Command Create()
    {
        var bytes = new Option<int>("--bytes")
        {
            Description = "How many random bytes the driver reads",
            HelpName = "N",
            DefaultValueFactory = _ => 2500,
        };
        Option<OutputFormat> format = OutputFormatOption.Create();
        var trace = new Option<bool>("--trace") { Description = "Show the first request's way through driver, transport and device instead" };
        var command = new DocumentedCommand("demo", "Join a driver and a device in this process and read random bytes through their rings", """
            Example:
              vio demo --bytes 64
            """) { bytes, format, trace };
        command.SetAction(arguments => arguments.GetValue(trace) ? Trace() : Run(arguments.GetValue(bytes), arguments.GetValue(format)));
        return command;
    }

    private static int Trace()
    {
        var walk = new Walk();
        var rings = new RingWatch(walk);
        using var transport = new TracingTransport(new LoopbackTransport(new TracingDevice(new RngDevice(), walk, rings)), walk, rings);
        WalkStep? probe = walk.Begin(WalkSide.Driver, "probe", "§3.1.1");
        using var driver = new RngDriver(transport);
        walk.End(probe);
        driver.Read(new byte[64], TimeSpan.FromSeconds(1));
        WalkOutput.Write(walk, WalkFormat.Text);
        return ExitCode.Success;
    }

    /// <summary>Also what <c>vio boot</c> falls back to.</summary>
    public static int Run(int bytes, OutputFormat format)
    {
        if (bytes is <= 0 or > 1 << 30)
            throw new UserException($"--bytes {bytes}: give 1 to {1 << 30}", ExitCode.Usage);

        using var transport = new LoopbackTransport(new RngDevice());
        using var driver = new RngDriver(transport);
        byte[] random = new byte[bytes];
        long start = Stopwatch.GetTimestamp();
        int read = driver.Read(random, TimeSpan.FromSeconds(1));
        TimeSpan took = Stopwatch.GetElapsedTime(start);
        if (read < bytes)
            throw new UserException($"the device gave {read} of {bytes} bytes and then kept the driver waiting");

        QueueStatistics counts = transport.Host.Statistics(0);
        if (format == OutputFormat.Json)
        {
            Console.WriteLine(JsonSerializer.Serialize(
                new DemoResult(read, Convert.ToHexStringLower(random.AsSpan(0, Math.Min(read, 32))), took.TotalMilliseconds, [.. transport.Host.DriverFeatures], counts),
                DemoJson.Default.DemoResult));
            return ExitCode.Success;
        }

        AnsiConsole.WriteLine("RngDriver ── rings in shared memory ── RngDevice: one process, no VM");
        AnsiConsole.WriteLine();
        HexDump.Write(random.AsSpan(0, Math.Min(read, 64)));
        AnsiConsole.WriteLine();
        Table table = Tables.TwoColumns();
        table.AddRow("status", transport.Host.Status.ToString());
        table.AddRow("features", transport.Host.DriverFeatures.ToString());
        Tables.AddCounts(table, counts);
        table.AddRow("time", $"{took.TotalMilliseconds:F2} ms for {read} bytes");
        AnsiConsole.Write(table);
        return ExitCode.Success;
    }
}
