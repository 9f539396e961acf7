using System.Globalization;

namespace VirtioSharp.Bench.Blk;

/// <summary>
/// 4 KiB random reads over vhost-user-blk: our daemon against qemu-storage-daemon, both up at the same time, each with a
/// store of its own of the same kind, and the same client. They take turns, so that both meet the machine in the same mood.
/// </summary>
internal static class BlkBench
{
    private const string StorageDaemon = "/usr/bin/qemu-storage-daemon";
    private const int FileBytes = 256 << 20;

    private static readonly int[] Depths = [1, 32];

    public static int Run(string vio, int rounds, string[] serveOptions)
    {
        if (!File.Exists(StorageDaemon))
        {
            Console.Error.WriteLine($"{StorageDaemon} was not found: apt install qemu-system-common");
            return 1;
        }

        DirectoryInfo here = Directory.CreateTempSubdirectory("vio-"), storage = StorageDirectory(), memory = MemoryDirectory();
        try
        {
            Console.WriteLine($"4 KiB random reads, kIOPS, {rounds} rounds in turn: median (min–max); ratio is ours ÷ QEMU's, round by round");
            Measure(rounds, 20_000, here, vio, "null", ["--null", $"{FileBytes}", .. serveOptions], $"driver=null-co,read-zeroes=on,size={FileBytes}");
            foreach ((string name, DirectoryInfo directory) in ((string, DirectoryInfo)[])[("page cache", storage), ("tmpfs", memory)])
            {
                string ours = MakeDisk(directory, "ours"), theirs = MakeDisk(directory, "theirs");
                foreach (string aio in (string[])["threads", "io_uring"])
                    Measure(rounds, 20_000, here, vio, $"{name}; ours sync, QEMU's {aio}", ["--blk-file", ours, .. serveOptions], $"driver=file,aio={aio},filename={theirs}");
                if (directory == storage)
                    foreach (string aio in (string[])["sync", "io_uring"])
                        Measure(rounds, 1000, here, vio, $"past the page cache; ours {aio}, QEMU's io_uring", ["--blk-file", ours, "--cache", "none", "--aio", aio, .. serveOptions], $"driver=file,cache.direct=on,aio=io_uring,filename={theirs}");
            }

            return 0;
        }
        finally
        {
            here.Delete(recursive: true);
            storage.Delete(recursive: true);
            memory.Delete(recursive: true);
        }
    }

    private static void Measure(int rounds, int reads, DirectoryInfo sockets, string vio, string name, string[] options, string blockDevice)
    {
        int maxDepth = Depths.Max();
        string ourSocket = Path.Combine(sockets.FullName, "ours.sock"), theirSocket = Path.Combine(sockets.FullName, "theirs.sock");
        File.Delete(ourSocket);
        File.Delete(theirSocket);
        using var ours = new BlkBackEnd(vio, ["serve", "blk", "--socket-path", ourSocket, "--log-level", "Warning", .. options], ourSocket, maxDepth);
        using var theirs = new BlkBackEnd(
            StorageDaemon,
            ["--blockdev", $"{blockDevice},node-name=d", "--export", $"type=vhost-user-blk,id=e,node-name=d,addr.type=unix,addr.path={theirSocket}"],
            theirSocket, maxDepth);
        Console.WriteLine(name);
        foreach (int depth in Depths)
        {
            int count = depth == 1 ? reads / 2 : reads * 3; // about as long
            List<double> our = [], their = [], ratio = [];
            for (int round = -1; round < rounds; round++) // one to warm up
            {
                (double first, double second) = (ours.Read(count, depth), theirs.Read(count, depth));
                if (round < 0)
                    continue;
                our.Add(first);
                their.Add(second);
                ratio.Add(first / second);
            }

            Console.WriteLine($"  depth {depth,2}   ours {Show(our, "F0"),-16} QEMU's {Show(their, "F0"),-16} ratio {Show(ratio, "F2")}");
        }
    }

    private static string Show(List<double> figures, string format)
    {
        figures.Sort();
        string Text(double figure) => figure.ToString(format, CultureInfo.InvariantCulture);
        return $"{Text(figures[figures.Count / 2])} ({Text(figures[0])}–{Text(figures[^1])})";
    }

    /// <summary>Written, so that nothing is a hole, and so that all of it is in the page cache.</summary>
    private static string MakeDisk(DirectoryInfo directory, string name)
    {
        string path = Path.Combine(directory.FullName, name);
        byte[] piece = new byte[1 << 20];
        new Random(1).NextBytes(piece);
        using FileStream file = File.Create(path);
        for (int at = 0; at < FileBytes; at += piece.Length)
            file.Write(piece);
        return path;
    }

    /// <summary>Where the checkout is: a temporary directory may be in memory.</summary>
    private static DirectoryInfo StorageDirectory() => Directory.CreateDirectory($"artifacts/vio-bench-{Environment.ProcessId}");

    private static DirectoryInfo MemoryDirectory() => Directory.CreateDirectory($"/dev/shm/vio-bench-{Environment.ProcessId}");
}
