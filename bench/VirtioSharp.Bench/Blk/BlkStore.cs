using System.Diagnostics;

namespace VirtioSharp.Bench.Blk;

/// <summary>What is behind the disks: how each daemon is told of it, and all the ways in which QEMU's can use it.</summary>
/// <param name="Name">As rows are called.</param>
/// <param name="Directory">Where its files are; null when it has none.</param>
/// <param name="Ours">Options of <c>vio serve blk</c>, with {file} for the file.</param>
/// <param name="Theirs">QEMU's ways by their names: what its block device is.</param>
internal sealed record BlkStore(string Name, string? Directory, string[] Ours, (string Name, string Device)[] Theirs)
{
    public const int Bytes = 256 << 20;

    /// <summary>All there are.</summary>
    /// <param name="storage">A directory on storage.</param>
    /// <param name="memory">A directory in memory.</param>
    public static BlkStore[] All(string storage, string memory) =>
    [
        new("null", null, ["--null", $"{Bytes}"], [("null-co", $"driver=null-co,read-zeroes=on,size={Bytes}")]),
        new("page cache", storage, ["--blk-file", "{file}"], Ways("", "threads", "io_uring")),
        new("tmpfs", memory, ["--blk-file", "{file}"], Ways("", "threads", "io_uring")),
        new("O_DIRECT", storage, ["--blk-file", "{file}", "--cache", "none"], Ways(",cache.direct=on", "threads", "io_uring", "native")),
    ];

    /// <summary>Written, so that nothing is a hole. It is in the page cache, or none of it is: a direct write past a cached page has to drop it.</summary>
    public string? MakeFile(string name)
    {
        if (Directory is null)
            return null;
        string path = Path.Combine(Directory, name);
        byte[] piece = new byte[1 << 20];
        new Random(1).NextBytes(piece);
        using (FileStream file = File.Create(path))
            for (int at = 0; at < Bytes; at += piece.Length)
                file.Write(piece);
        if (IsDirect)
        {
            using Process drop = Process.Start("dd", [$"of={path}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
            drop.WaitForExit();
        }

        return path;
    }

    private bool IsDirect => Ours.Contains("none");

    // Its ways share a file, one after the other: hence no locks.
    private static (string, string)[] Ways(string more, params string[] engines) =>
        [.. engines.Select(aio => (aio, $"driver=file,locking=off,aio={aio},filename={{file}}{more}"))];
}
