using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using VirtioSharp.Check;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Check;

/// <summary><c>vio check</c>: plays front-end, well-behaved and hostile, against any vhost-user daemon.</summary>
internal sealed class CheckCommand
{
    /// <summary>The types of the vhost-user conventions and VMMs; of most only the handshake can be checked.</summary>
    private static readonly string[] Devices =
        ["rng", "blk", "console", "crypto", "fs", "gpio", "gpu", "i2c", "input", "net", "rtc", "scmi", "scsi", "sound", "spi", "video", "vsock"];

    private readonly Option<string?> _socketPath = new("--socket-path")
    {
        Description = "The daemon's UNIX socket; with --exec it may be left out",
        HelpName = "PATH",
    };

    private readonly Option<string?> _device = new("--device")
    {
        Description = "What it serves. To rng and blk requests are made; of the others only the handshake is checked",
        HelpName = "TYPE",
    };

    private readonly Option<string[]> _case = new("--case")
    {
        Description = "Only the cases whose name contains this (may be repeated)",
        HelpName = "NAME",
    };

    private readonly Option<bool> _list = new("--list") { Description = "Say what would be checked, and end" };

    private readonly Option<CheckFormat> _format = new("--format")
    {
        Description = "text for people, json for programs, markdown for documents",
        DefaultValueFactory = _ => CheckFormat.Text,
    };

    private readonly Option<string?> _exec = new("--exec")
    {
        Description = "Start the daemon with this command, {socket} being its socket, and start it again whenever it has died",
        HelpName = "COMMAND",
    };

    private readonly Option<bool> _write = new("--write") { Description = "Also write to the disk; what was there is put back if the daemon lives" };

    private readonly Option<bool> _dangerous = new("--dangerous") { Description = "Also do what kills most daemons, such as cutting shared memory short" };

    private readonly Option<double> _timeout = new("--timeout")
    {
        Description = "How many seconds to wait for an answer that must come",
        HelpName = "S",
        DefaultValueFactory = _ => 5,
    };

    public static Command Create() => new CheckCommand().Build();

    private DocumentedCommand Build()
    {
        var command = new DocumentedCommand("check", "Check any vhost-user daemon: requirements of the specification, and what hostile guests and VMMs do", """
            Each row names a requirement, where it stands, and what was seen: PASS, FAIL or SKIP.
            After every case a new session must be served. The daemon must have no other front-end meanwhile.
            Exit code: 0 nothing failed, 1 something failed, 2 asked wrongly, 3 no connection.

            Example:
              vio check --socket-path /tmp/rng.sock --device rng
              vio check --device blk --exec 'my-daemon --socket-path={socket} --blk-file=disk.img'
            """)
        {
            _socketPath, _device, _case, _list, _format, _exec, _write, _dangerous, _timeout,
        };
        command.SetAction(Run);
        return command;
    }

    private int Run(ParseResult arguments)
    {
        CheckFormat format = arguments.GetValue(_format);
        CheckGroup[] groups = Select(arguments.GetValue(_case)!);
        if (arguments.GetValue(_list))
        {
            CaseTable.Write(format, groups);
            return ExitCode.Success;
        }

        if (arguments.GetValue(_device) is { } device && !Devices.Contains(device))
            throw new UserException($"--device {device}: give one of {string.Join(", ", Devices)}", ExitCode.Usage);
        double seconds = arguments.GetValue(_timeout);
        if (seconds is not (>= 0.1 and <= 600))
            throw new UserException(string.Create(CultureInfo.InvariantCulture, $"--timeout {seconds}: give 0.1 to 600 seconds"), ExitCode.Usage);
        string? path = arguments.GetValue(_socketPath), command = arguments.GetValue(_exec);
        if (string.IsNullOrEmpty(path) && string.IsNullOrWhiteSpace(command))
            throw new UserException("say where the daemon is, as in: vio check --socket-path /tmp/rng.sock --device rng", ExitCode.Usage);

        DirectoryInfo? directory = string.IsNullOrEmpty(path) ? Directory.CreateTempSubdirectory("vio-") : null;
        try
        {
            path = directory is null ? path! : Path.Combine(directory.FullName, "sock");
            if (command is not null)
                RefuseWhatIsNoSocket(path);
            using DaemonCommand? daemon = command is null ? null : new DaemonCommand(command, path);
            // The case under way is finished, as it may have to put a disk's sector back, and what we made goes with us.
            int? ended = null;
            using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, End);
            using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, End);
            var options = new CheckOptions
            {
                SocketPath = path,
                Device = arguments.GetValue(_device),
                Timeout = TimeSpan.FromSeconds(seconds),
                MayWrite = arguments.GetValue(_write),
                Dangerous = arguments.GetValue(_dangerous),
                Daemon = daemon,
            };
            return Run(options, groups, format, () => ended);

            void End(PosixSignalContext context)
            {
                if (ended is not null)
                {
                    daemon?.Kill(); // asked again: now the runtime ends the process at once
                    return;
                }

                ended = ExitCode.Of(context.Signal);
                context.Cancel = true;
            }
        }
        finally
        {
            directory?.Delete(recursive: true);
        }
    }

    private static int Run(CheckOptions options, CheckGroup[] groups, CheckFormat format, Func<int?> ended)
    {
        using ICheckReport report = ICheckReport.Of(format);
        var run = new CheckRun(options);
        bool failed = false;
        try
        {
            int total = groups.Sum(group => group.Cases.Count), done = 0;
            foreach (CheckResult result in run.Run(groups.SelectMany(group => group.Cases)))
            {
                failed |= result.Verdict == Verdict.Fail;
                CheckGroup group = groups.First(one => one.Cases.Contains(result.Case));
                report.Add(group, result, ++done, total);
                if (ended() is not null)
                    break;
            }
        }
        catch (UnreachableException unreachable)
        {
            string hint = options.Daemon is null ? "; start the daemon first, or let --exec start it" : "";
            throw new UserException($"--socket-path {options.SocketPath}: {unreachable.Message}{hint}", ExitCode.Unreachable);
        }

        report.Finish();
        return ended() ?? (failed ? ExitCode.Failure : ExitCode.Success);
    }

    /// <summary>A daemon makes its socket in place of an old one, and of nothing else.</summary>
    private static void RefuseWhatIsNoSocket(string path)
    {
        try
        {
            if (FileFacts.OfPath(path) is { Kind: not FileKind.Socket and var kind })
                throw new UserException($"--socket-path {path}: a file that is not a socket is there ({kind}); choose another path, or leave it out", ExitCode.Usage);
        }
        catch (LinuxException refused)
        {
            throw new UserException($"--socket-path {path}: {refused.Message}", ExitCode.Usage);
        }
    }

    private static CheckGroup[] Select(string[] names)
    {
        foreach (string name in names)
            if (!CheckList.All.Any(one => Fits(one, name)))
                throw new UserException($"--case {name}: no case is called so; see 'vio check --list'", ExitCode.Usage);
        return [.. CheckList.Groups
            .Select(group => group with { Cases = [.. group.Cases.Where(one => names.Length == 0 || names.Any(name => Fits(one, name)))] })
            .Where(group => group.Cases.Count > 0)];
    }

    private static bool Fits(CheckCase one, string name) => one.Name.Contains(name, StringComparison.OrdinalIgnoreCase);
}
