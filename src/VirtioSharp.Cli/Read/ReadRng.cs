using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Errors;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli.Read;

/// <summary><c>vio read rng</c>: random bytes, as a guest would get them.</summary>
internal sealed class ReadRng
{
    private const int BufferBytes = 4096, ChunkBytes = 64 * 1024;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Option<string?> _socketPath = BackEnds.SocketPathOption();

    private readonly Option<long> _bytes = new("--bytes") { Description = "How many", HelpName = "N" };

    private readonly Option<string?> _output = new("--output")
    {
        Description = "Write them to this file, as they are; - is standard output, which is where they go without it",
        HelpName = "FILE",
    };

    private readonly Option<bool> _hex = new("--hex") { Description = "Print them in hexadecimal, 16 in a line" };

    private readonly Option<int> _reconnect = new("--reconnect")
    {
        Description = "When the daemon dies, wait this many seconds for it to be started again, and go on",
        HelpName = "S",
    };

    private readonly Option<OutputFormat> _format = OutputFormatOption.Create();

    public static Command Create()
    {
        var read = new ReadRng();
        var command = new DocumentedCommand("rng", "Read random bytes from an entropy device", """
            Example:
              vio read rng --socket-path /tmp/rng.sock --bytes 16 --hex
              vio read rng --socket-path /tmp/rng.sock --bytes 1048576 --output random.bin
            """) { read._socketPath, read._bytes, read._output, read._hex, read._reconnect, read._format };
        command.SetAction(read.Run);
        return command;
    }

    private int Run(ParseResult arguments)
    {
        string path = BackEnds.Require(arguments.GetValue(_socketPath), "read rng --bytes 64");
        long count = arguments.GetValue(_bytes);
        if (count <= 0)
            throw new UserException($"--bytes {count}: give 1 or more", ExitCode.Usage);
        int reconnect = arguments.GetValue(_reconnect);
        if (reconnect is < 0 or > 86400)
            throw new UserException($"--reconnect {reconnect}: give 0 to 86400 seconds", ExitCode.Usage);
        OutputFormat format = arguments.GetValue(_format);
        using ByteSink sink = ByteSink.Create(arguments.GetValue(_output), arguments.GetValue(_hex), format, count);
        using VhostUserFrontEnd frontEnd = BackEnds.Connect(path, DeviceId.Entropy, new() { ReconnectTimeout = TimeSpan.FromSeconds(reconnect) });
        long start = Stopwatch.GetTimestamp();
        try
        {
            using var driver = new RngDriver(frontEnd, BufferBytes);
            Copy(driver, count, sink);
        }
        catch (Exception failed) when (failed is TransportException or QueueException or DeviceException)
        {
            throw BackEnds.Explain(path, failed);
        }

        sink.Finish();
        if (format == OutputFormat.Json)
        {
            var result = new ReadResult(count, sink.Path, sink.Hexadecimal, Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            Console.WriteLine(JsonSerializer.Serialize(result, ReadJson.Default.ReadResult));
        }

        return ExitCode.Success;
    }

    private static void Copy(RngDriver driver, long count, ByteSink sink)
    {
        var progress = new SlowProgress(count);
        byte[] chunk = new byte[Math.Min(count, ChunkBytes)];
        for (long done = 0; done < count; progress.Tell(done))
        {
            Span<byte> part = chunk.AsSpan(0, (int)Math.Min(chunk.Length, count - done));
            int read = driver.Read(part, Patience);
            sink.Write(part[..read]);
            done += read;
            if (read < part.Length)
                throw new UserException($"the device gave {done} of {count} bytes and then nothing for {Patience.TotalSeconds} s; if it gave none, is it an entropy device at all?");
        }
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
