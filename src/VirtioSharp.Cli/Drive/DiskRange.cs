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
    /// <exception cref="UserException">It ends before.</exception>
    public static long RoomAt(long offset, ulong sectors)
    {
        ulong bytes = sectors * BlockLayout.SectorBytes;
        return (ulong)offset <= bytes
            ? (long)(bytes - (ulong)offset)
            : throw new UserException($"--offset {offset}: the disk has {bytes} bytes");
    }
}
