using System.Diagnostics;
using System.Globalization;
using VirtioSharp.Qemu;

namespace VirtioSharp.Bench;

/// <summary>
/// How fast a Linux guest reads /dev/hwrng: from our daemon over vhost-user, and from QEMU's own virtio-rng with
/// rng-builtin. Two guests boot, one with each device, in turn, so that both meet the machine in the same mood.
/// </summary>
internal static class GuestRng
{
    private const long Bytes = 1 << 20;
    private const int ReadsPerBoot = 3;

    public static async Task<int> RunAsync(string vio, int rounds, string[] serveOptions)
    {
        if (!HostTools.CanBootGuests(out DebianKernel? kernel, out string? whyNot))
        {
            Console.Error.WriteLine(whyNot);
            return 1;
        }

        var directory = Directory.CreateTempSubdirectory("vio-");
        string socket = Path.Combine(directory.FullName, "rng.sock");
        using Process daemon = Process.Start(vio, ["serve", "rng", "--socket-path", socket, "--log-level", "Warning", .. serveOptions]);
        try
        {
            while (!File.Exists(socket) && !daemon.HasExited)
                await Task.Delay(20);

            string[] ours = ["-chardev", $"socket,id=c0,path={socket}", "-device", "vhost-user-rng-pci,chardev=c0"];
            string[] builtin = ["-object", "rng-builtin,id=r0", "-device", "virtio-rng-pci,rng=r0"];
            var figures = new List<(double Ours, double Builtin)>();
            for (int round = 0; round < rounds; round++)
            {
                figures.Add((await MeasureAsync(kernel, ours), await MeasureAsync(kernel, builtin)));
                Console.WriteLine($"round {round + 1} of {rounds}: ours {figures[^1].Ours:F0} KiB/s, rng-builtin {figures[^1].Builtin:F0} KiB/s");
            }

            Console.WriteLine();
            Console.WriteLine($"guest reads /dev/hwrng, {Bytes >> 10} KiB × {ReadsPerBoot} × {rounds} boots each, KiB/s: median (min–max)");
            Print("VirtioSharp, vhost-user", figures.Select(pair => pair.Ours));
            Print("QEMU rng-builtin", figures.Select(pair => pair.Builtin));
            Print("ratio, round by round", figures.Select(pair => pair.Ours / pair.Builtin), "F2");
            return 0;
        }
        finally
        {
            daemon.Kill();
            daemon.WaitForExit();
            directory.Delete(recursive: true);
        }
    }

    private static async Task<double> MeasureAsync(DebianKernel kernel, string[] devices)
    {
        await using GuestMachine guest = GuestMachine.Start(new GuestOptions
        {
            Kernel = kernel,
            Job = GuestJobs.RngThroughput(Bytes, ReadsPerBoot),
            Devices = devices,
        });
        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(TimeSpan.FromMinutes(2));
        return Median(events.Where(one => one.Key == "read").Select(one =>
            Bytes / 1024.0 / double.Parse(one.Value.Split(' ')[1], CultureInfo.InvariantCulture)));
    }

    private static void Print(string name, IEnumerable<double> figures, string format = "F0")
    {
        double[] all = [.. figures];
        string Show(double figure) => figure.ToString(format, CultureInfo.InvariantCulture);
        Console.WriteLine($"  {name,-26} {Show(Median(all)),8}  ({Show(all.Min())}–{Show(all.Max())})");
    }

    private static double Median(IEnumerable<double> figures)
    {
        double[] sorted = [.. figures.Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }
}
