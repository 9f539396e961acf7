using System.CommandLine;
using System.Globalization;
using Spectre.Console;
using VirtioSharp.Cli.Output;
using VirtioSharp.Qemu;

namespace VirtioSharp.Cli.Boot;

/// <summary><c>vio boot blk</c>: a Linux guest mounts a disk image that our device serves, and shows what is in it.</summary>
internal static class BootBlk
{
    private const string Serial = "vio-disk";
    private const int MostMebibytes = 64;

    public static DocumentedCommand Create()
    {
        var image = new Argument<FileInfo>("FILE") { Description = "A raw disk image; with ext2, ext3 or ext4 on it, the guest lists its files" };
        var blk = new DocumentedCommand("blk", "Boot Debian's kernel in QEMU and let it mount and read the disk that 'vio serve blk' serves", """
            Needs the Debian packages qemu-system-x86, linux-image-cloud-amd64 and busybox-static. No KVM is needed.
            The disk is served read-only.

            Example:
              vio boot blk disk.img
            """) { image };
        blk.SetAction((arguments, cancellation) => RunAsync(arguments.GetValue(image)!, cancellation));
        return blk;
    }

    private static async Task<int> RunAsync(FileInfo image, CancellationToken cancellation)
    {
        if (!HostTools.CanBootGuests(out DebianKernel? kernel, out string? whyNot))
            throw new UserException($"no guest can be booted here: {whyNot}");
        await using var daemon = await Daemon.StartAsync("blk", ["--blk-file", image.FullName, "--read-only", "--serial", Serial], cancellation).ConfigureAwait(false);
        var guest = new GuestOptions { Kernel = kernel, Job = GuestJobs.ShowDisk(Serial, MostMebibytes) };
        BootedGuest seen = await BootedGuest.RunAsync(daemon, guest, Describe, resultBytes: 0, cancellation).ConfigureAwait(false);

        string[] read = seen.Value("disk-read").Split(' ');
        double seconds = double.Parse(read[1], CultureInfo.InvariantCulture);
        AnsiConsole.WriteLine();
        AnsiConsole.WriteLine($"The guest read {read[0]} bytes in {seconds:F2} s, and found");
        if (seen.Events.Any(one => one.Key == "mounted"))
            foreach (GuestEvent entry in seen.Events.Where(one => one.Key == "entry"))
                AnsiConsole.WriteLine($"  {entry.Value}");
        else
            AnsiConsole.WriteLine("  no ext2, ext3 or ext4; make one with: mkfs.ext4 -d DIRECTORY disk.img 64M");
        AnsiConsole.WriteLine();
        AnsiConsole.Write(Tables.Of(await daemon.ReportAsync(cancellation).ConfigureAwait(false)));
        return ExitCode.Success;
    }

    private static string? Describe(GuestEvent one) => one.Key switch
    {
        GuestEvent.Up => "the kernel is up, virtio_blk is loaded",
        "disk" => $"the disk is /dev/{one.Value.Replace(" ", ", ", StringComparison.Ordinal)} sectors",
        "mounted" => $"mounted it as {one.Value}",
        "not-mounted" => "it has no file system that could be mounted",
        "disk-read" => $"read {one.Value.Replace(" ", " bytes in ", StringComparison.Ordinal)} s",
        _ => null,
    };
}
