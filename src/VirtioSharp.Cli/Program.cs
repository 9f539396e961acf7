using System.CommandLine;
using VirtioSharp.Cli.Bench;
using VirtioSharp.Cli.Boot;
using VirtioSharp.Cli.Check;
using VirtioSharp.Cli.Control;
using VirtioSharp.Cli.Demo;
using VirtioSharp.Cli.Drive;
using VirtioSharp.Cli.Output;
using VirtioSharp.Cli.Probe;
using VirtioSharp.Cli.Proxy;
using VirtioSharp.Cli.Serve;
using VirtioSharp.Cli.Trace;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli;

/// <summary>The command <c>vio</c>.</summary>
internal static class Program
{
    public static int Main(string[] arguments)
    {
        try
        {
            arguments = NameDecides(ProcessFacts.StartedAs, arguments);
            if (TryPrintCapabilities(arguments))
                return ExitCode.Success;
            return Run(arguments);
        }
        catch (UserException mistake)
        {
            Console.Error.WriteLine($"vio: {mistake.Message}");
            return mistake.ExitCode;
        }
    }

    /// <summary>
    /// A VMM's discovery file names a program and no arguments, so a program that serves several devices must go by the
    /// name it was started under: <c>vio-rng</c> is <c>vio serve rng</c>.
    /// </summary>
    internal static string[] NameDecides(string startedAs, string[] arguments)
    {
        string name = Path.GetFileName(startedAs);
        IServedDevice? device = Catalog.Devices.FirstOrDefault(device => name == $"vio-{device.Name}");
        return device is null ? arguments : ["serve", device.Name, .. arguments];
    }

    private static int Run(string[] arguments)
    {
        var root = new RootCommand("VIRTIO for .NET: serve devices to virtual machines, and drive them without one.")
        {
            ServeCommand.Create(),
            CtlCommand.Create(),
            ProbeCommand.Create(),
            CheckCommand.Create(),
            ReadCommand.Create(),
            WriteCommand.Create(),
            BenchCommand.Create(),
            DemoCommand.Create(),
            TraceCommand.Create(),
            ProxyCommand.Create(),
            BootCommand.Create(),
        };
        DocumentedCommand.ShowNotes(root, """
            Example:
              vio demo
            """);
        Terminal.SetUp();
        ParseResult parsed = root.Parse(arguments);
        if (parsed.Errors.Count > 0 && !DocumentedCommand.IsHelp(parsed)) // who asks for help need not know yet what is required
        {
            Console.Error.WriteLine($"vio: {ParseErrors.OneLine(parsed)}; see {HelpFor(parsed)}");
            return ExitCode.Usage;
        }

        // Exceptions go to Main, which knows those that users can mend.
        return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
    }

    private static bool TryPrintCapabilities(string[] arguments)
    {
        if (arguments is not ["serve", var name, ..] || !arguments.Contains(Capabilities.Option))
            return false;
        if (Catalog.Devices.FirstOrDefault(device => device.Name == name) is not { } device)
            return false;
        Console.WriteLine(Capabilities.Of(device));
        return true;
    }

    private static string HelpFor(ParseResult parsed)
    {
        string path = "--help'";
        Command? at = parsed.CommandResult.Command;
        for (; at is not (null or RootCommand); at = at.Parents.OfType<Command>().FirstOrDefault())
            path = $"{at.Name} {path}";
        return $"'vio {path}";
    }
}
