using System.CommandLine;

namespace VirtioSharp.Cli.Boot;

/// <summary><c>vio boot</c>: a Linux guest in QEMU on one of our devices, and what both ends saw.</summary>
internal static class BootCommand
{
    public static Command Create() => new DocumentedCommand("boot", "Boot a Linux guest on one of our devices and show what both saw", """
        Example:
          vio boot rng
          vio boot blk disk.img
        """) { BootRng.Create(), BootBlk.Create() };
}
