using System.Globalization;

namespace VirtioSharp.Qemu.Qtest;

/// <summary>QEMU's arguments for a machine without a guest.</summary>
internal static class QtestCommandLine
{
    /// <param name="options">What the caller wants.</param>
    /// <param name="facts">What the machine is.</param>
    /// <param name="memoryFile">The file behind its RAM, of the right length.</param>
    /// <param name="files">Sockets and firmware.</param>
    public static IReadOnlyList<string> For(QtestOptions options, QtestMachineFacts facts, string memoryFile, GuestDirectory files)
    {
        string memory = options.MemoryMiB.ToString(CultureInfo.InvariantCulture) + "M";
        List<string> arguments =
        [
            "-accel", "tcg",
            "-nodefaults", "-no-user-config", "-display", "none",
            "-bios", files.Firmware,
            "-object", $"memory-backend-file,id=mem0,size={memory},mem-path={memoryFile},share=on",
            "-machine", string.Join(',', [facts.Machine, "memory-backend=mem0", .. options.MachineOptions]),
            "-m", memory,
            // QEMU connects to us: if it were the one to listen, it would wait for us before it made its devices.
            "-qtest", $"unix:{files.QtestSocket}",
            "-qtest-log", "none",
            "-qmp", $"unix:{files.QmpSocket},server=on,wait=off",
        ];
        if (facts.MmioSlots > 0)
            arguments.AddRange(["-global", $"virtio-mmio.force-legacy={(options.LegacyMmio ? "on" : "off")}"]);
        arguments.AddRange(options.Devices);
        return arguments;
    }
}
