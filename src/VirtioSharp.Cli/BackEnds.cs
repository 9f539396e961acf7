using System.CommandLine;
using VirtioSharp.Linux;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli;

/// <summary>How commands reach a vhost-user daemon that somebody runs.</summary>
internal static class BackEnds
{
    public static Option<string?> SocketPathOption() => new("--socket-path")
    {
        Description = "The socket that the daemon listens on",
        HelpName = "PATH",
    };

    /// <summary>What was given, or what to give.</summary>
    public static string Require(string? given, string command) => given is { Length: > 0 }
        ? given
        : throw new UserException($"give --socket-path PATH, as in: vio {command} --socket-path /tmp/rng.sock", ExitCode.Usage);

    /// <exception cref="UserException">Nobody is there, or it does not speak vhost-user.</exception>
    public static VhostUserFrontEnd Connect(string path, DeviceId device, VhostUserFrontEndOptions options)
    {
        try
        {
            return VhostUserFrontEnd.Connect(path, device, options);
        }
        catch (VhostUserException refused) when (refused.InnerException is LinuxException { Errno: var errno } && refused.Request == 0)
        {
            throw new UserException(errno switch
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
