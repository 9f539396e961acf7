using VirtioSharp.Cli.Output;

namespace VirtioSharp.Cli.Read;

/// <summary>Where bytes go that a command has read: a file, standard output, a dump for people, or a string of JSON.</summary>
internal sealed class ByteSink : IDisposable
{
    /// <summary>What is kept in memory before it is printed.</summary>
    private const int MostToKeep = 1 << 20;

    private readonly Stream _stream;
    private readonly bool _dumps;

    private ByteSink(Stream stream, string? path, bool dumps) => (_stream, Path, _dumps) = (stream, path, dumps);

    /// <summary>The file, if it is one.</summary>
    public string? Path { get; }

    /// <summary>What was kept for JSON, in hexadecimal.</summary>
    public string? Hexadecimal => _stream is MemoryStream kept ? Convert.ToHexStringLower(kept.GetBuffer().AsSpan(0, (int)kept.Length)) : null;

    /// <exception cref="UserException">It cannot go there.</exception>
    public static ByteSink Create(string? output, bool hex, OutputFormat format, long count)
    {
        string? path = output is null or "-" ? null : output;
        if (hex && (path is not null || format == OutputFormat.Json))
            throw new UserException("--hex is for standard output and text: leave out --output and --format", ExitCode.Usage);
        if (path is not null)
            return new ByteSink(Open(path), path, dumps: false);
        if (hex || format == OutputFormat.Json)
        {
            return count <= MostToKeep
                ? new ByteSink(new MemoryStream(), null, hex)
                : throw new UserException($"--bytes {count}: more than {MostToKeep} bytes are not printed in hexadecimal; give --output FILE", ExitCode.Usage);
        }

        return Console.IsOutputRedirected
            ? new ByteSink(Console.OpenStandardOutput(), null, dumps: false)
            : throw new UserException("standard output is a terminal: give --hex to look at the bytes, or --output FILE to keep them", ExitCode.Usage);
    }

    public void Write(ReadOnlySpan<byte> bytes) => Guard(bytes, static (sink, bytes) => sink._stream.Write(bytes));

    public void Finish()
    {
        Guard([], static (sink, _) => sink._stream.Flush());
        if (_dumps && _stream is MemoryStream kept)
            HexDump.Write(kept.GetBuffer().AsSpan(0, (int)kept.Length));
    }

    public void Dispose() => _stream.Dispose();

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new UserException($"--output {path}: {refused.Message.TrimEnd('.')}; choose a file that you may write");
        }
    }

    private void Guard(ReadOnlySpan<byte> bytes, WriteAction write)
    {
        try
        {
            write(this, bytes);
        }
        catch (IOException full)
        {
            throw new UserException($"--output {Path ?? "-"}: {full.Message.TrimEnd('.')}");
        }
    }

    private delegate void WriteAction(ByteSink sink, ReadOnlySpan<byte> bytes);
}
