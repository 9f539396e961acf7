using System.CommandLine;
using VirtioSharp.Core.Driver;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;

namespace VirtioSharp.Cli.Drive;

/// <summary><c>vio read rng</c>: random bytes, as a guest would get them.</summary>
internal sealed class ReadRng() : ReadCommand("rng", DeviceId.Entropy)
{
    private const int BufferBytes = 4096, ChunkBytes = 64 * 1024;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Option<long> _bytes = new("--bytes") { Description = "How many", HelpName = "N" };

    protected override string Description => "Read random bytes from an entropy device";

    protected override string Notes => """
        Example:
          vio read rng --socket-path /tmp/rng.sock --bytes 16 --hex
          vio read rng --socket-path /tmp/rng.sock --bytes 1048576 --output random.bin
        """;

    protected override IEnumerable<Option> Options => [_bytes];

    protected override void Check(ParseResult arguments)
    {
        if (arguments.GetValue(_bytes) <= 0)
            throw new UserException($"--bytes {arguments.GetValue(_bytes)}: give 1 or more", ExitCode.Usage);
    }

    protected override void Read(IDriverTransport frontEnd, ParseResult arguments, ByteSink sink)
    {
        long count = arguments.GetValue(_bytes);
        sink.Expect(count);
        using var driver = new RngDriver(frontEnd, BufferBytes);
        var progress = new SlowProgress(count);
        byte[] chunk = new byte[Math.Min(count, ChunkBytes)];
        while (sink.Count < count)
        {
            Span<byte> part = chunk.AsSpan(0, (int)Math.Min(chunk.Length, count - sink.Count));
            int read = driver.Read(part, Patience);
            sink.Write(part[..read]);
            progress.Tell(sink.Count);
            if (read < part.Length)
                throw new UserException($"the device gave {sink.Count} of {count} bytes and then nothing for {Patience.TotalSeconds} s; if it gave none, is it an entropy device at all?");
        }
    }
}
