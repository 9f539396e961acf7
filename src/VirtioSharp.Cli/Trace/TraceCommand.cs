using System.CommandLine;
using VirtioSharp.Cli.Demo;
using VirtioSharp.Cli.Output;

namespace VirtioSharp.Cli.Trace;

/// <summary><c>vio trace -- COMMAND</c>: the way of the command's first request, in place of what it would print.</summary>
internal static class TraceCommand
{
    public static Command Create()
    {
        Option<WalkFormat> format = WalkOutput.CreateOption("text for people, json for ui.perfetto.dev, svg for a page");
        var traced = new Argument<string[]>("command") { Description = "The command to trace: demo, with its options", Arity = ArgumentArity.ZeroOrMore };
        var command = new DocumentedCommand("trace", "Show one request's way through driver, transport and device", """
            Example:
              vio trace -- demo
              vio trace --format svg -- demo --transport mmio > walk.svg
            """) { format, traced };
        command.SetAction(arguments => Run(arguments.GetValue(traced)!, arguments.GetValue(format)));
        return command;
    }

    private static int Run(string[] traced, WalkFormat format)
    {
        if (traced is not ["demo", ..])
            throw new UserException($"'{string.Join(' ', traced)}' cannot be traced: give 'demo', with a --transport; see 'vio trace --help'", ExitCode.Usage);
        string[] arguments = [.. traced[1..], "--trace", "--format", format.ToString()];
        ParseResult parsed = DemoCommand.Create().Parse(arguments);
        if (parsed.Errors.Count > 0)
            throw new UserException($"demo: {ParseErrors.OneLine(parsed)}; see 'vio demo --help'", ExitCode.Usage);
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }
}
