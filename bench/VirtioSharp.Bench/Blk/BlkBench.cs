using System.Runtime.InteropServices;

namespace VirtioSharp.Bench.Blk;

/// <summary>
/// Disks over vhost-user: our daemon as it comes against qemu-storage-daemon in each way it can use the same kind of store,
/// with the same client. They take turns, so that all meet the machine in the same mood, and the row tells QEMU's best.
/// </summary>
internal static class BlkBench
{
    private const string StorageDaemon = "/usr/bin/qemu-storage-daemon";

    public static int Run(string vio, string[] arguments)
    {
        BlkOptions options;
        try
        {
            options = BlkOptions.Parse(arguments);
        }
        catch (Exception wrong) when (wrong is FormatException or OverflowException)
        {
            Console.Error.WriteLine($"bench/blk: {wrong.Message}");
            return 2;
        }

        if (!File.Exists(StorageDaemon))
        {
            Console.Error.WriteLine($"{StorageDaemon} was not found: apt install qemu-system-common");
            return 1;
        }

        // The checkout is on storage; a temporary directory may be in memory.
        DirectoryInfo storage = Directory.CreateDirectory($"artifacts/vio-bench-{Environment.ProcessId}"), memory = Directory.CreateDirectory($"/dev/shm/vio-bench-{Environment.ProcessId}");
        DirectoryInfo sockets = Directory.CreateTempSubdirectory("vio-"); // a socket's path may be no longer than 107 bytes
        using PosixSignalRegistration interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop), ended = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            var table = new BlkTable(options.Markdown);
            table.Head();
            foreach (BlkStore store in BlkStore.All(storage.FullName, memory.FullName))
            {
                BlkWorkload[] workloads = [.. BlkWorkload.All.Where(workload => options.Wants(store, workload))];
                if (workloads.Length > 0)
                    Measure(vio, store, workloads, options, sockets, table);
            }

            return 0;
        }
        catch (BlkDaemonException failed)
        {
            Console.Error.WriteLine($"bench/blk: {failed.Message}");
            return 1;
        }
        finally
        {
            Leave();
        }

        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            BlkDaemon.KillAll();
            Leave();
            Environment.Exit(128 + 2);
        }

        void Leave()
        {
            foreach (DirectoryInfo directory in (DirectoryInfo[])[sockets, storage, memory])
            {
                if (Directory.Exists(directory.FullName))
                    directory.Delete(recursive: true);
            }
        }
    }

    private static void Measure(string vio, BlkStore store, BlkWorkload[] workloads, BlkOptions options, DirectoryInfo sockets, BlkTable table)
    {
        string? ourFile = store.MakeFile("ours"), theirFile = store.MakeFile("theirs");
        List<BlkDaemon> daemons = [];
        try
        {
            daemons.Add(Start("ours", vio, socket => ["serve", "blk", "--socket-path", socket, "--log-level", "Warning", .. store.Ours.Select(option => Named(option, ourFile)), .. options.ServeOptions]));
            foreach ((string name, string device) in store.Theirs)
                daemons.Add(Start(name, StorageDaemon, socket =>
                [
                    "--blockdev", $"{Named(device, theirFile)},node-name=d",
                    "--export", $"type=vhost-user-blk,id=e,node-name=d,writable=on,num-queues=2,addr.type=unix,addr.path={socket}",
                ]));
            WarmUp(workloads[0], daemons);
            foreach (BlkWorkload workload in workloads)
                Measure(store, workload, options, daemons, table);
        }
        finally
        {
            foreach (BlkDaemon daemon in daemons)
                daemon.Dispose();
            foreach (string file in (string[])[ourFile ?? "", theirFile ?? ""])
                if (file.Length > 0)
                    File.Delete(file);
        }

        BlkDaemon Start(string name, string program, Func<string, string[]> arguments)
        {
            string socket = Path.Combine(sockets.FullName, name);
            return new(name, program, arguments(socket), socket);
        }
    }

    /// <summary>A daemon of .NET's, and this program, get their fast code after a second of work.</summary>
    private static void WarmUp(BlkWorkload workload, List<BlkDaemon> daemons)
    {
        foreach (BlkDaemon daemon in daemons)
        {
            using BlkSession session = daemon.Open(workload.Options);
            session.Run(TimeSpan.FromSeconds(1.5));
        }
    }

    private static void Measure(BlkStore store, BlkWorkload workload, BlkOptions options, List<BlkDaemon> daemons, BlkTable table)
    {
        List<BlkSession> sessions = [];
        try
        {
            foreach (BlkDaemon daemon in daemons)
                sessions.Add(daemon.Open(workload.Options));
            List<BlkFigures>[] figures = [.. daemons.Select(_ => new List<BlkFigures>())];
            for (int round = -1; round < options.Rounds; round++) // one to warm up
                for (int i = 0; i < sessions.Count; i++)
                {
                    BlkFigures measured = sessions[i].Run(TimeSpan.FromSeconds(round < 0 ? options.Seconds / 2 : options.Seconds));
                    if (round >= 0)
                        figures[i].Add(measured);
                }

            int best = Enumerable.Range(1, daemons.Count - 1).MaxBy(i => BlkTable.Median(figures[i], f => f.PerSecond));
            table.Row(store.Name, workload, figures[0], daemons[best].Name, figures[best]);
        }
        finally
        {
            foreach (BlkSession session in sessions)
                session.Dispose();
        }
    }

    private static string Named(string text, string? file) => text.Replace("{file}", file, StringComparison.Ordinal);
}
