using System.CommandLine;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Cli.Drive;

/// <summary>A part of a disk, in bytes, that begins with a sector.</summary>
internal static class DiskRange
{
    /// <summary>Bytes that are copied between two looks at the clock.</summary>
    public const int ChunkBytes = 1 << 20;

    public static Option<long> OffsetOption() => new("--offset") { Description = "Where on the disk, in bytes: a multiple of 512", HelpName = "N" };

    public static void Check(string option, long bytes)
    {
        if (bytes < 0 || bytes % BlockLayout.SectorBytes != 0)
            throw new UserException($"{option} {bytes}: give a multiple of {BlockLayout.SectorBytes}", ExitCode.Usage);
    }

    /// <summary>How many bytes a disk has from there on.</summary>
    /// <exception cref="UserException">It ends before, or claims to be larger than any disk.</exception>
    public static long RoomAt(long offset, ulong sectors)
    {
        if (sectors > long.MaxValue / BlockLayout.SectorBytes)
            throw new UserException($"the disk says that it has {sectors} sectors, which is more than can be: do not trust this daemon");
        long bytes = (long)sectors * BlockLayout.SectorBytes;
        return offset <= bytes
            ? bytes - offset
            : throw new UserException($"--offset {offset}: the disk has {bytes} bytes");
    }
}
