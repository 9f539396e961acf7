using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Driver;
using VirtioSharp.Spec;

namespace VirtioSharp.Cli.Drive;

/// <summary><c>vio read DEVICE</c>: what a vhost-user daemon's device has to give, through its driver and without a VM.</summary>
internal abstract class ReadCommand(string name, DeviceId device)
{
    private readonly Option<string?> _socketPath = BackEnds.SocketPathOption();
    private readonly Option<string?> _output = new("--output")
    {
        Description = "Write the bytes to this file, as they are; - is standard output, which is where they go without it",
        HelpName = "FILE",
    };

    private readonly Option<bool> _hex = new("--hex") { Description = "Print them in hexadecimal, 16 in a line" };
    private readonly Option<int> _reconnect = BackEnds.ReconnectOption();
    private readonly Option<OutputFormat> _format = OutputFormatOption.Create();

    public static Command Create() => new DocumentedCommand("read", "Read from the device of a vhost-user daemon, without a VM", """
        Example:
          vio read rng --socket-path /tmp/rng.sock --bytes 16 --hex
        """) { new ReadRng().Command, new ReadBlk().Command };

    protected abstract string Description { get; }

    protected abstract string Notes { get; }

    protected abstract IEnumerable<Option> Options { get; }

    private DocumentedCommand Command
    {
        get
        {
            var command = new DocumentedCommand(name, Description, Notes) { _socketPath };
            foreach (Option option in Options)
                command.Add(option);
            foreach (Option option in (Option[])[_output, _hex, _reconnect, _format])
                command.Add(option);
            command.SetAction(Run);
            return command;
        }
    }

    /// <summary>Refuses options that make no sense before anybody is disturbed.</summary>
    protected abstract void Check(ParseResult arguments);

    /// <summary>Reads it all into <paramref name="sink"/>.</summary>
    protected abstract void Read(IDriverTransport frontEnd, ParseResult arguments, ByteSink sink);

    private int Run(ParseResult arguments)
    {
        string path = BackEnds.Require(arguments.GetValue(_socketPath), $"read {name}");
        Check(arguments);
        OutputFormat format = arguments.GetValue(_format);
        using ByteSink sink = ByteSink.Create(arguments.GetValue(_output), arguments.GetValue(_hex), format);
        long start = Stopwatch.GetTimestamp();
        BackEnds.Use(path, device, arguments.GetValue(_reconnect), frontEnd => Read(frontEnd, arguments, sink));
        sink.Finish();
        if (format == OutputFormat.Json)
        {
            var result = new ReadResult(sink.Count, sink.Path, sink.Hexadecimal, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            Console.WriteLine(JsonSerializer.Serialize(result, ReadJson.Default.ReadResult));
        }

        return ExitCode.Success;
    }
}

/// <summary>What <c>vio read --format json</c> prints.</summary>
/// <param name="Bytes">Bytes read.</param>
/// <param name="Output">The file that they are in.</param>
/// <param name="Data">They themselves, in hexadecimal, if they went to no file.</param>
/// <param name="Milliseconds">How long it took.</param>
internal sealed record ReadResult(long Bytes, string? Output, string? Data, double Milliseconds);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(ReadResult))]
internal sealed partial class ReadJson : JsonSerializerContext;
