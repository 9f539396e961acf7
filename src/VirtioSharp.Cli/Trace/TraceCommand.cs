using System.CommandLine;
using VirtioSharp.Cli.Demo;
using VirtioSharp.Cli.Output;
using VirtioSharp.Cli.Proxy;

namespace VirtioSharp.Cli.Trace;

/// <summary><c>vio trace -- COMMAND</c>: the way of the command's first request, in place of what it would print. <c>vio trace FILE</c>: a saved session.</summary>
internal static class TraceCommand
{
    public static Command Create()
    {
        Option<WalkFormat> format = WalkOutput.CreateOption("text for people, json for ui.perfetto.dev, svg for a page");
        var session = new Option<int?>("--session") { Description = "Of a file: which session; the last one by default", HelpName = "N" };
        var traced = new Argument<string[]>("command") { Description = "The command to trace (demo, with its options), or a file of 'vio proxy --trace'", Arity = ArgumentArity.ZeroOrMore };
        var command = new DocumentedCommand("trace", "Show one request's way through driver, transport and device, or a saved vhost-user session", """
            Example:
              vio trace -- demo
              vio trace --format svg -- demo --transport mmio > walk.svg
              vio trace -- demo --device blk
              vio trace -- read blk --socket-path /tmp/blk.sock --bytes 512
              vio trace session.json
            """) { format, session, traced };
        command.SetAction(arguments => Run(arguments.GetValue(traced)!, arguments.GetValue(session), arguments.GetValue(format)));
        return command;
    }

    private static int Run(string[] traced, int? session, WalkFormat format) => traced switch
    {
        ["demo", ..] when session is null => Trace(traced[1..], format),
        ["read" or "write", ..] when session is null => TraceDrive.Run(traced[0], traced[1..], format),
        [var file] when File.Exists(file) => Open(file, session, format),
        _ => throw new UserException($"'{string.Join(' ', traced)}' cannot be traced: give 'demo', 'read' or 'write', with options, or a file of 'vio proxy --trace'; see 'vio trace --help'", ExitCode.Usage),
    };

    private static int Trace(string[] arguments, WalkFormat format)
    {
        ParseResult parsed = DemoCommand.Create().Parse([.. arguments, "--trace", "--format", format.ToString()]);
        if (parsed.Errors.Count > 0)
            throw new UserException($"demo: {ParseErrors.OneLine(parsed)}; see 'vio demo --help'", ExitCode.Usage);
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private static int Open(string file, int? number, WalkFormat format)
    {
        TracedSessions saved = SessionTrace.Read(file);
        TracedSession session = (number is null ? saved.Sessions.LastOrDefault() : saved.Sessions.Find(session => session.Number == number))
            ?? throw new UserException(saved.Sessions.Count == 0 ? $"{file} has no sessions" : $"{file} has no session {number}: it has {saved.Sessions.Count}");
        string picture = $"front-end ── {saved.Listen} ── vio proxy ── {saved.Connect} ── back-end: session {session.Number} of {saved.Sessions.Count}, {session.Started:u}\n"
            + $"it ended: {ProxyLines.Ending(session.Ended)}";
        WalkOutput.Write(SessionWalk.Of(session), picture, format);
        return ExitCode.Success;
    }
}
