using System.CommandLine;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Cli.Drive;

/// <summary><c>vio write blk</c>: a file's bytes onto a vhost-user daemon's disk, through the driver and without a VM.</summary>
internal sealed class WriteCommand
{
    private readonly Option<string?> _socketPath = BackEnds.SocketPathOption();
    private readonly Option<string?> _input = new("--input") { Description = "The file with the bytes; - is standard input", HelpName = "FILE" };
    private readonly Option<long> _offset = DiskRange.OffsetOption();
    private readonly Option<int> _reconnect = BackEnds.ReconnectOption();

    public static Command Create() => new DocumentedCommand("write", "Write to the device of a vhost-user daemon, without a VM", """
        Example:
          vio write blk --socket-path /tmp/blk.sock --input disk.img
        """) { new WriteCommand().Blk() };

    private DocumentedCommand Blk()
    {
        var command = new DocumentedCommand("blk", "Write a file's bytes to a part of a disk; they are safe there when the command has ended well", """
            Example:
              vio write blk --socket-path /tmp/blk.sock --input disk.img
              gzip -dc disk.img.gz | vio write blk --socket-path /tmp/blk.sock --input -
            """) { _socketPath, _input, _offset, _reconnect };
        command.SetAction(Run);
        return command;
    }

    private int Run(ParseResult arguments)
    {
        string path = BackEnds.Require(arguments.GetValue(_socketPath), "write blk --input disk.img");
        string input = arguments.GetValue(_input) is { Length: > 0 } given
            ? given
            : throw new UserException("give --input FILE, or --input - for standard input", ExitCode.Usage);
        long offset = arguments.GetValue(_offset);
        DiskRange.Check("--offset", offset);
        using Stream source = Open(input);
        BackEnds.Use(path, DeviceId.Block, arguments.GetValue(_reconnect), frontEnd =>
        {
            using var driver = new BlockDriver(frontEnd, new() { CopyBytes = DiskRange.ChunkBytes });
            if (driver.Properties.IsReadOnly)
                throw new UserException($"--socket-path {path}: the disk is read-only");
            Copy(source, input, driver, offset);
        });
        return ExitCode.Success;
    }

    private static void Copy(Stream source, string input, BlockDriver driver, long offset)
    {
        long room = DiskRange.RoomAt(offset, driver.Capacity), done = 0;
        if (source.CanSeek && source.Length > room) // rather nothing than a part
            throw new UserException($"--input {input}: {source.Length} bytes, and the disk has {room} at --offset {offset}");
        var progress = new SlowProgress(source.CanSeek ? source.Length : null);
        byte[] chunk = new byte[DiskRange.ChunkBytes];
        while (true)
        {
            int read = Fill(source, input, chunk);
            if (read == 0)
                break;
            if (read > room - done)
                throw new UserException($"--input {input}: more than the {room} bytes that the disk has at --offset {offset}; what there was room for until now, {done} bytes, is written");
            Write(driver, (ulong)(offset + done) / BlockLayout.SectorBytes, chunk, read);
            done += read;
            progress.Tell(done);
        }

        driver.Flush();
    }

    /// <summary>Of a sector that the input covers in part only, the rest stays as it is.</summary>
    private static void Write(BlockDriver driver, ulong sector, byte[] chunk, int count)
    {
        int tail = count % BlockLayout.SectorBytes;
        if (tail != 0)
        {
            Span<byte> last = stackalloc byte[BlockLayout.SectorBytes];
            driver.Read(sector + (ulong)(count / BlockLayout.SectorBytes), last);
            last[tail..].CopyTo(chunk.AsSpan(count));
            count += BlockLayout.SectorBytes - tail;
        }

        driver.Write(sector, chunk.AsSpan(0, count));
    }

    private static Stream Open(string input)
    {
        if (input == "-")
            return Console.OpenStandardInput();
        try
        {
            return new FileStream(input, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new UserException($"--input {input}: {refused.Message.TrimEnd('.')}");
        }
    }

    private static int Fill(Stream source, string input, byte[] chunk)
    {
        try
        {
            return source.ReadAtLeast(chunk, chunk.Length, throwOnEndOfStream: false); // whole sectors until the end
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
        {
            throw new UserException($"--input {input}: {failed.Message.TrimEnd('.')}");
        }
    }
}
