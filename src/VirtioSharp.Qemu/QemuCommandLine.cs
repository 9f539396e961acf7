using System.Buffers;
using System.Globalization;

namespace VirtioSharp.Qemu;

/// <summary>QEMU's arguments for a guest: nothing but what the options ask for, and a console on standard output.</summary>
internal static class QemuCommandLine
{
    // Measured on two shared cores with TCG, from start to "@vio up": 2.1 s with "quiet" alone.
    // The crypto self-tests are 0.3 s of that. nokaslr saves the second relocation pass; one serial port and no
    // keyboard controller are less to probe. panic=-1: a panic reboots at once, so a broken boot is loud.
    // no_timer_check: on a busy host an emulated timer may miss its test, and the kernel would panic.
    private const string FastAndQuiet =
        "console=ttyS0 quiet panic=-1 no_timer_check random.trust_cpu=on cryptomgr.notests nokaslr 8250.nr_uarts=1 i8042.noaux i8042.nokbd";

    private static readonly SearchValues<char> PlainCharacters =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,.:/@%");

    public static IReadOnlyList<string> For(GuestOptions options, string initramfs, string? resultsDisk, string? qmpSocket)
    {
        string memory = options.MemoryMiB.ToString(CultureInfo.InvariantCulture) + "M";
        List<string> arguments =
        [
            "-accel", "tcg",
            "-nodefaults", "-no-user-config", "-display", "none",
            // Without share=on a vhost-user device gets no memory, and the guest hangs without a word.
            "-object", $"memory-backend-memfd,id=mem0,size={memory},share=on",
            "-machine", $"{options.Machine},memory-backend=mem0",
            "-m", memory,
            "-cpu", options.Cpu,
            "-smp", options.Processors.ToString(CultureInfo.InvariantCulture),
            "-kernel", options.Kernel.Image,
            "-initrd", initramfs,
            "-append", $"{FastAndQuiet} {options.KernelArguments}".TrimEnd(),
            "-chardev", "stdio,id=console,signal=off",
            "-serial", "chardev:console",
        ];
        if (resultsDisk is not null)
        {
            // The host reads the file through the same page cache, so nothing needs to reach a real disk.
            arguments.AddRange("-drive", $"file={resultsDisk},format=raw,if=none,id=results,cache=unsafe");
            arguments.AddRange("-device", $"virtio-blk-pci,drive=results,serial={GuestInit.ResultsSerial}");
        }
        if (qmpSocket is not null)
            arguments.AddRange("-qmp", $"unix:{qmpSocket},server=on,wait=off");
        if (options.ExitOnReboot)
            arguments.Add("-no-reboot");
        arguments.AddRange(options.Devices);
        return arguments;
    }

    // What a person could paste into a shell.
    public static string Quote(IEnumerable<string> arguments) =>
        string.Join(' ', arguments.Select(argument =>
            argument.AsSpan().ContainsAnyExcept(PlainCharacters) ? $"'{argument.Replace("'", "'\\''", StringComparison.Ordinal)}'" : argument));

    private static void AddRange(this List<string> list, params ReadOnlySpan<string> items)
    {
        foreach (string item in items)
            list.Add(item);
    }
}
