using VirtioSharp.Cli.Output;

namespace VirtioSharp.Cli.Drive;

/// <summary>Where bytes go that a command has read: a file, standard output, a dump for people, or a string of JSON.</summary>
/// <remarks>A file is made when the first bytes come: a daemon that is not there costs nobody the file of yesterday.</remarks>
internal sealed class ByteSink : IDisposable
{
    /// <summary>What is kept in memory before it is printed.</summary>
    private const int MostToKeep = 1 << 20;

    private readonly bool _dumps;
    private Stream? _stream;

    private ByteSink(Stream? stream, string? path, bool dumps) => (_stream, Path, _dumps) = (stream, path, dumps);

    /// <summary>The file, if it is one.</summary>
    public string? Path { get; }

    /// <summary>Bytes that have come.</summary>
    public long Count { get; private set; }

    /// <summary>What was kept for JSON, in hexadecimal.</summary>
    public string? Hexadecimal => _stream is MemoryStream ? Convert.ToHexStringLower(Kept) : null;

    private ReadOnlySpan<byte> Kept => ((MemoryStream)_stream!).GetBuffer().AsSpan(0, (int)Count);

    /// <exception cref="UserException">It cannot go there.</exception>
    public static ByteSink Create(string? output, bool hex, OutputFormat format)
    {
        if (output is "")
            throw new UserException("--output: give the name of a file, or - for standard output", ExitCode.Usage);
        string? path = output is null or "-" ? null : output;
        if (hex && (path is not null || format == OutputFormat.Json))
            throw new UserException("--hex is for standard output and text: leave out --output and --format", ExitCode.Usage);
        if (path is not null)
            return new ByteSink(null, path, dumps: false);
        if (hex || format == OutputFormat.Json)
            return new ByteSink(new MemoryStream(), null, hex);
        return Console.IsOutputRedirected
            ? new ByteSink(Console.OpenStandardOutput(), null, dumps: false)
            : throw new UserException("standard output is a terminal: give --hex to look at the bytes, or --output FILE to keep them", ExitCode.Usage);
    }

    /// <summary>Says how many will come, before the first.</summary>
    /// <exception cref="UserException">Nobody would want to see so many.</exception>
    public void Expect(long count)
    {
        if (_stream is MemoryStream && count > MostToKeep)
            throw new UserException($"{count} bytes are more than are printed in hexadecimal: give --output FILE", ExitCode.Usage);
    }

    public void Write(ReadOnlySpan<byte> bytes)
    {
        try
        {
            _stream ??= new FileStream(Path!, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
            _stream.Write(bytes);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new UserException($"--output {Path ?? "-"}: {refused.Message.TrimEnd('.')}");
        }

        Count += bytes.Length;
    }

    public void Finish()
    {
        Write([]); // a file of no bytes is a file
        if (_dumps)
            HexDump.Write(Kept);
    }

    public void Dispose() => _stream?.Dispose();
}
