using System.CommandLine;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli.Drive;

/// <summary>How commands reach a vhost-user daemon that somebody runs, and what they say when it fails them.</summary>
internal static class BackEnds
{
    public static Option<string?> SocketPathOption() => new("--socket-path")
    {
        Description = "The socket that the daemon listens on",
        HelpName = "PATH",
    };

    public static Option<int> ReconnectOption() => new("--reconnect")
    {
        Description = "When the daemon dies, wait this many seconds for it to be started again, and go on",
        HelpName = "S",
    };

    /// <summary>The path that was given, or what to give.</summary>
    public static string Require(string? given, string command) => given is { Length: > 0 }
        ? given
        : throw new UserException($"give --socket-path PATH, as in: vio {command} --socket-path /tmp/vio.sock", ExitCode.Usage);

    /// <summary>Stands between the driver and its way to the daemon, for whoever wants to watch; as it is, nobody does.</summary>
    public static Func<IDriverTransport, IDriverTransport> Between { get; set; } = transport => transport;

    /// <summary>Connects, uses, and turns what goes wrong with the device into a line for people.</summary>
    /// <param name="path">The daemon's socket.</param>
    /// <param name="device">What it is taken for.</param>
    /// <param name="reconnect">How many seconds to wait for one that has died.</param>
    /// <param name="use">What to do with it.</param>
    public static void Use(string path, DeviceId device, int reconnect, Action<IDriverTransport> use)
    {
        if (reconnect is < 0 or > 86400)
            throw new UserException($"--reconnect {reconnect}: give 0 to 86400 seconds", ExitCode.Usage);
        using VhostUserFrontEnd frontEnd = Connect(path, device, new() { ReconnectTimeout = TimeSpan.FromSeconds(reconnect) });
        try
        {
            use(Between(frontEnd));
        }
        catch (Exception failed) when (failed is TransportException or QueueException or DeviceException or BlockException or TimeoutException)
        {
            throw Explain(path, failed);
        }
    }

    /// <exception cref="UserException">Nobody is there, or it does not speak vhost-user.</exception>
    public static VhostUserFrontEnd Connect(string path, DeviceId device, VhostUserFrontEndOptions options)
    {
        try
        {
            return VhostUserFrontEnd.Connect(path, device, options);
        }
        catch (VhostUserException refused) when (refused is { Request: 0, InnerException: LinuxException reason })
        {
            throw new UserException(reason.Errno switch
            {
                Errno.ENOENT => $"--socket-path {path}: there is no such socket; start a daemon there first, as in: vio serve rng --socket-path {path}",
                Errno.ECONNREFUSED => $"--socket-path {path}: nobody listens there; the daemon that made it has ended, start it again",
                Errno.EACCES => $"--socket-path {path}: no permission to connect; run as the daemon's user",
                _ => $"--socket-path {path}: {refused.Message}",
            });
        }
        catch (VhostUserException failed)
        {
            throw Explain(path, failed);
        }
    }

    public static UserException Explain(string path, Exception failed) => new($"--socket-path {path}: {failed.Message}");
}
