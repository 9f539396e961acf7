using System.CommandLine;
using System.Globalization;
using Spectre.Console;
using VirtioSharp.Cli.Demo;
using VirtioSharp.Cli.Output;
using VirtioSharp.Cli.Trace;
using VirtioSharp.Qemu;

namespace VirtioSharp.Cli.Boot;

/// <summary><c>vio boot rng</c>: the whole way in one command, from a Linux guest's /dev/hwrng to our device and back.</summary>
internal static class BootRng
{
    public static DocumentedCommand Create()
    {
        var bytes = new Option<int>("--kibibytes")
        {
            Description = "How much the guest reads of /dev/hwrng, in KiB (a multiple of 64)",
            HelpName = "N",
            DefaultValueFactory = _ => 256,
        };
        var rng = new DocumentedCommand("rng", "Boot Debian's kernel in QEMU and let its virtio_rng driver read 'vio serve rng'", """
            Needs the Debian packages qemu-system-x86, linux-image-cloud-amd64 and busybox-static;
            without them the driver and the device of 'vio demo' run instead. No KVM is needed.

            Example:
              vio boot rng --kibibytes 512
            """) { bytes };
        rng.SetAction((arguments, cancellation) => RunAsync(arguments.GetValue(bytes), cancellation));
        return rng;
    }

    private static async Task<int> RunAsync(int kibibytes, CancellationToken cancellation)
    {
        if (kibibytes <= 0 || kibibytes % 64 != 0 || kibibytes > 65536)
            throw new UserException($"--kibibytes {kibibytes}: give a multiple of 64 up to 65536", ExitCode.Usage);
        if (!HostTools.CanBootGuests(out DebianKernel? kernel, out string? whyNot))
        {
            AnsiConsole.WriteLine($"No guest can be booted here: {whyNot}");
            AnsiConsole.WriteLine("Instead, the embedded default (vio demo):");
            AnsiConsole.WriteLine();
            return DemoCommand.Run(DemoDevice.Of(DemoDeviceKind.Rng), 2500, DemoTransport.Pci, WalkFormat.Text);
        }

        await BootAsync(kernel, kibibytes * 1024L, cancellation).ConfigureAwait(false);
        return ExitCode.Success;
    }

    private static async Task BootAsync(DebianKernel kernel, long bytes, CancellationToken cancellation)
    {
        await using var daemon = await Daemon.StartAsync("rng", [], cancellation).ConfigureAwait(false);
        var guest = new GuestOptions { Kernel = kernel, Job = GuestJobs.ReadRng(bytes), ResultBytes = bytes };
        BootedGuest seen = await BootedGuest.RunAsync(daemon, guest, Describe, resultBytes: 64, cancellation).ConfigureAwait(false);

        string[] read = seen.Value("read").Split(' ');
        double seconds = double.Parse(read[1], CultureInfo.InvariantCulture);
        AnsiConsole.WriteLine();
        AnsiConsole.WriteLine($"In the guest, rng_current is {seen.Value("rng-current")}; /dev/hwrng gave {read[0]} bytes in {seconds:F2} s, starting with");
        HexDump.Write(seen.Results);
        AnsiConsole.WriteLine();
        AnsiConsole.Write(Tables.Of(await daemon.ReportAsync(cancellation).ConfigureAwait(false)));
    }

    private static string? Describe(GuestEvent one) => one.Key switch
    {
        GuestEvent.Up => "the kernel is up, virtio_rng is loaded",
        "rng-current" => $"rng_current is {one.Value}, reading /dev/hwrng",
        "read" => $"read {one.Value.Replace(" ", " bytes in ", StringComparison.Ordinal)} s",
        "delivered" => "bytes handed to the host",
        _ => null,
    };
}
