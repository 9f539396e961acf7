using System.CommandLine;
using VirtioSharp.Cli.Drive;
using VirtioSharp.Cli.Output;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Trace;

/// <summary><c>vio trace -- read DEVICE</c>, <c>vio trace -- write blk</c>: the way of the first request to a daemon, whose own half stays in the dark.</summary>
internal static class TraceDrive
{
    public static int Run(string verb, string[] arguments, WalkFormat format)
    {
        if (verb == "read" && !arguments.Contains("--output"))
            arguments = [.. arguments, "--output", "/dev/null"]; // the walk takes the place of the bytes
        ParseResult parsed = (verb == "read" ? ReadCommand.Create() : WriteCommand.Create()).Parse(arguments);
        if (parsed.Errors.Count > 0)
            throw new UserException($"{verb}: {ParseErrors.OneLine(parsed)}; see 'vio {verb} --help'", ExitCode.Usage);
        if (arguments.Contains("--format"))
            throw new UserException($"{verb}: leave out its --format, and give one before the --", ExitCode.Usage);
        var walk = new Walk();
        BackEnds.Between = transport => new TracingTransport(transport, walk, new RingWatch(walk));
        int exitCode = parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        walk.Close();
        if (exitCode == ExitCode.Success)
            WalkOutput.Write(walk, $"vio {verb} {arguments[0]} ── vhost-user ── daemon: two processes, no VM", format);
        return exitCode;
    }
}
