using System.CommandLine;

namespace VirtioSharp.Cli.Read;

/// <summary><c>vio read DEVICE</c>: what a vhost-user daemon's device has to give, through the driver and without a VM.</summary>
internal static class ReadCommand
{
    public static Command Create() => new DocumentedCommand("read", "Read from the device of a vhost-user daemon, without a VM", """
        Example:
          vio read rng --socket-path /tmp/rng.sock --bytes 16 --hex
        """) { ReadRng.Create() };
}
