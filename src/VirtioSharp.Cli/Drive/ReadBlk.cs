using System.CommandLine;
using VirtioSharp.Core.Driver;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Cli.Drive;

/// <summary><c>vio read blk</c>: a part of a disk, or all of it.</summary>
internal sealed class ReadBlk() : ReadCommand("blk", DeviceId.Block)
{
    private readonly Option<long> _offset = DiskRange.OffsetOption();
    private readonly Option<long?> _bytes = new("--bytes") { Description = "How many, a multiple of 512; without it, all that follow", HelpName = "N" };

    protected override string Description => "Read a part of a disk, or all of it";

    protected override string Notes => """
        Example:
          vio read blk --socket-path /tmp/blk.sock --bytes 512 --hex
          vio read blk --socket-path /tmp/blk.sock --output disk.img
        """;

    protected override IEnumerable<Option> Options => [_offset, _bytes];

    protected override void Check(ParseResult arguments)
    {
        DiskRange.Check("--offset", arguments.GetValue(_offset));
        if (arguments.GetValue(_bytes) is { } bytes)
            DiskRange.Check("--bytes", bytes);
    }

    protected override void Read(IDriverTransport frontEnd, ParseResult arguments, ByteSink sink)
    {
        using var driver = new BlockDriver(frontEnd, new() { CopyBytes = DiskRange.ChunkBytes });
        long offset = arguments.GetValue(_offset);
        long room = DiskRange.RoomAt(offset, driver.Capacity), count = arguments.GetValue(_bytes) ?? room;
        if (count > room)
            throw new UserException($"--bytes {count}: the disk has {room} at --offset {offset}");
        sink.Expect(count);
        var progress = new SlowProgress(count);
        byte[] chunk = new byte[Math.Min(count, DiskRange.ChunkBytes)];
        while (sink.Count < count)
        {
            Span<byte> part = chunk.AsSpan(0, (int)Math.Min(chunk.Length, count - sink.Count));
            driver.Read((ulong)(offset + sink.Count) / BlockLayout.SectorBytes, part);
            sink.Write(part);
            progress.Tell(sink.Count);
        }
    }
}
