using System.CommandLine;
using System.Runtime.InteropServices;
using VirtioSharp.Cli.Output;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Proxy;

namespace VirtioSharp.Cli.Proxy;

/// <summary><c>vio proxy</c>: stands between a VMM and a vhost-user daemon and says what passes.</summary>
internal static class ProxyCommand
{
    public static Command Create()
    {
        var listen = new Option<string>("--listen") { Description = "Where the VMM connects: a UNIX socket that is made", HelpName = "PATH", Required = true };
        var connect = new Option<string>("--connect") { Description = "The daemon's UNIX socket; connected to for each session", HelpName = "PATH", Required = true };
        var trace = new Option<FileInfo?>("--trace") { Description = "Save what passed to this file after each session; 'vio trace FILE' opens it", HelpName = "FILE" };
        var once = new Option<bool>("--once") { Description = "End after the first session" };
        var format = new Option<OutputFormat>("--format") { Description = "text for people, json for programs: an object per line", DefaultValueFactory = _ => OutputFormat.Text };
        var command = new DocumentedCommand("proxy", "Stand between a VMM and a vhost-user daemon: decode every message and explain refusals", """
            Example:
              vio serve rng --socket-path /tmp/rng.sock &
              vio proxy --listen /tmp/proxy.sock --connect /tmp/rng.sock --trace session.json
            and give QEMU /tmp/proxy.sock in place of the daemon's socket. Rings, kicks and interrupts do not
            go through the proxy, so nothing gets slower. Afterwards:
              vio trace session.json
            """) { listen, connect, trace, once, format };
        command.SetAction(arguments => Run(
            arguments.GetValue(listen)!, arguments.GetValue(connect)!, arguments.GetValue(trace), arguments.GetValue(once), arguments.GetValue(format)));
        return command;
    }

    private static int Run(string listen, string connect, FileInfo? trace, bool once, OutputFormat format)
    {
        if (trace is { Directory.Exists: false })
            throw new UserException($"--trace {trace}: the directory does not exist; make it first");
        using var end = new CancellationTokenSource();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using VhostUserProxy proxy = Listen(listen, connect);
        using CancellationTokenRegistration stop = end.Token.Register(proxy.Stop);
        // Only what will be written is kept: a proxy may run for weeks.
        SessionTrace? saved = trace is null ? null : new SessionTrace(listen, connect);
        Action<int, ProxiedMessage> show = format == OutputFormat.Json ? ProxyLines.WriteJson : ProxyLines.WriteText;
        int session = 0;
        proxy.SessionBegan = number =>
        {
            session = number;
            saved?.Begin(number, DateTimeOffset.Now);
            if (format == OutputFormat.Text)
                Console.WriteLine($"session {number}: a front-end connected");
        };
        proxy.MessagePassed = message =>
        {
            saved?.Add(message);
            show(session, message);
        };
        proxy.SessionEnded = over =>
        {
            saved?.End(over);
            if (format == OutputFormat.Text)
                ProxyLines.WriteEnd(over);
            if (saved is not null)
                Save(saved, trace!);
            if (once)
                proxy.Stop();
        };
        Console.Error.WriteLine($"listening on {listen}, passing on to {connect}");
        proxy.Run();
        return ExitCode.Success;

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            end.Cancel();
        }
    }

    private static VhostUserProxy Listen(string listen, string connect)
    {
        try
        {
            return new VhostUserProxy(UnixListener.Listen(listen, nonBlocking: true), connect);
        }
        catch (LinuxException refused)
        {
            throw new UserException($"--listen {listen}: {refused.Message}");
        }
    }

    private static void Save(SessionTrace saved, FileInfo file)
    {
        try
        {
            saved.Write(file.FullName);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"vio: --trace {file}: {refused.Message}; the proxy goes on"); // who watches a VMM must not lose the session for it
        }
    }
}
