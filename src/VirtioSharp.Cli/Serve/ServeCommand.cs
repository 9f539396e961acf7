using System.CommandLine;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using VirtioSharp.Cli.Control;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Device;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.Cli.Serve;

/// <summary><c>vio serve DEVICE</c>: a vhost-user back-end program, by the conventions of the vhost-user specification.</summary>
internal sealed class ServeCommand
{
    private readonly Option<string?> _socketPath = new("--socket-path")
    {
        Description = "Listen on this UNIX socket; one front-end (VMM) after the other is served",
        HelpName = "PATH",
    };

    private readonly Option<int?> _fd = new("--fd")
    {
        Description = "Use this inherited file descriptor instead: a listening socket, or one front-end's connection",
        HelpName = "N",
    };

    private readonly Option<bool> _printCapabilities = new("--print-capabilities")
    {
        Description = "Print what this program is as JSON and exit",
    };

    private readonly Option<LogLevel> _logLevel = new("--log-level")
    {
        Description = "What to say on standard error: Debug shows every protocol message",
        HelpName = "LEVEL",
        DefaultValueFactory = _ => LogLevel.Information,
    };

    private readonly Option<ProtocolFeatures[]> _without = new("--without")
    {
        Description = "Do not offer this part of the vhost-user protocol (may be repeated)",
        HelpName = "FEATURE",
    };

    private readonly Option<ProtocolFeatures[]> _with = new("--with")
    {
        Description = "Offer a part of the vhost-user protocol that is not offered by itself: InbandNotifications. Not for QEMU, which accepts it without having it",
        HelpName = "FEATURE",
    };

    private readonly Option<string[]> _withoutVirtio = new("--without-virtio")
    {
        Description = "Do not offer these features of the device and its rings, as in event-idx,ring-packed (may be repeated)",
        HelpName = "FEATURE,…",
    };

    private readonly Option<int> _busyPoll = new("--busy-poll")
    {
        Description = "While requests come faster than this many microseconds, look for the next one instead of sleeping; 0 always sleeps",
        HelpName = "US",
        DefaultValueFactory = _ => (int)VhostUserOptions.DefaultBusyPoll.TotalMicroseconds,
    };

    private readonly Option<FileInfo?> _report = FileOption.Create("--report",
        "When a front-end leaves, write what was seen of it to this file as JSON");

    private readonly Option<string?> _controlPath = new("--control-path")
    {
        Description = "Answer 'vio ctl' on this UNIX socket, which is its owner's alone",
        HelpName = "PATH",
    };

    public static Command Create()
    {
        var serve = new DocumentedCommand("serve", "Run a device as a vhost-user back-end, for QEMU and other VMMs", """
            Example:
              vio serve rng --socket-path /tmp/rng.sock
            """);
        foreach (IServedDevice device in Catalog.Devices)
            serve.Add(new ServeCommand().For(device));
        return serve;
    }

    private DocumentedCommand For(IServedDevice device)
    {
        var command = new DocumentedCommand(device.Name, device.Description, $"""
            Example:
              vio serve {device.Name} --socket-path /tmp/{device.Name}.sock{device.ExampleOptions}
              qemu-system-x86_64 … -object memory-backend-memfd,id=mem0,size=512M,share=on \
                -machine q35,memory-backend=mem0 -chardev socket,id=c0,path=/tmp/{device.Name}.sock \
                -device vhost-user-{device.Name}-pci,chardev=c0
            """)
        {
            _socketPath, _fd, _printCapabilities, _logLevel, _with, _without, _withoutVirtio, _busyPoll, _report, _controlPath,
        };
        foreach (Option option in device.Options)
            command.Add(option);
        command.SetAction(arguments => Run(device, arguments));
        return command;
    }

    private int Run(IServedDevice device, ParseResult arguments)
    {
        if (arguments.GetValue(_busyPoll) is < 0 or > 1_000_000)
            throw new UserException("--busy-poll: give 0 to 1000000 microseconds", ExitCode.Usage);
        ProtocolFeatures added = All(arguments.GetValue(_with)!);
        if ((added & ~VhostUserOptions.Optional) is not 0 and var other)
            throw new UserException($"--with {other}: only {VhostUserOptions.Optional} can be added; what else there is is offered by itself", ExitCode.Usage);
        using ILoggerFactory logging = Logs.ToStandardError(arguments.GetValue(_logLevel));
        var options = new VhostUserOptions
        {
            Added = added,
            Withheld = All(arguments.GetValue(_without)!),
            BusyPoll = TimeSpan.FromMicroseconds(arguments.GetValue(_busyPoll)),
        };
        ILogger log = logging.CreateLogger($"vio-{device.Name}");
        FileInfo? file = arguments.GetValue(_report);
        if (file is { Directory.Exists: false })
            throw new UserException($"--report {file}: the directory does not exist; make it first");

        // The runtime would end the process at once; the socket is to be removed first. So signals are ours before it is there.
        using var end = new CancellationTokenSource();
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using VhostUserServer server = Connect(device, arguments, options, log, out VirtioDevice virtio);
        using PosixSignalRegistration? hangUp = device.OnHangUp is not null ? PosixSignalRegistration.Create(PosixSignal.SIGHUP, LookAgain) : null;
        using ControlServer? control = OpenControl(arguments, new DeviceControl(device, virtio, server, log), server.Loop);
        device.OnConnected(server.Loop);
        if (file is not null)
            server.SessionEnded = report => Save(report, file.FullName, log);
        using CancellationTokenRegistration stop = end.Token.Register(server.Stop);
        server.Run();
        device.OnEnded();
        return ExitCode.Success;

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            end.Cancel();
        }

        void LookAgain(PosixSignalContext context)
        {
            context.Cancel = true;
            server.Loop.Post(() => device.OnHangUp!(virtio));
        }
    }

    private ControlServer? OpenControl(ParseResult arguments, DeviceControl device, EventLoop loop)
    {
        if (arguments.GetValue(_controlPath) is not { } path)
            return null;
        if (path.Length == 0)
            throw new UserException("--control-path: the path is empty", ExitCode.Usage);
        try
        {
            return new ControlServer(path, loop, device.Obey);
        }
        catch (LinuxException refused)
        {
            throw new UserException(ExplainPath("--control-path", path, refused));
        }
    }

    private static ProtocolFeatures All(ProtocolFeatures[] features) => features.Aggregate(ProtocolFeatures.None, (all, one) => all | one);

    private static void Save(SessionReport report, string path, ILogger log)
    {
        try
        {
            ReportFile.Write(path, report);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            log.ReportNotWritten(path, refused.Message); // the next front-end is to be served all the same
        }
    }

    private VhostUserServer Connect(IServedDevice device, ParseResult arguments, VhostUserOptions options, ILogger log, out VirtioDevice virtio)
    {
        string? path = arguments.GetValue(_socketPath) is { Length: > 0 } given ? given : null;
        int? fd = arguments.GetValue(_fd);
        if (path is null == fd is null)
            throw new UserException($"give either --socket-path PATH or --fd N, as in: vio serve {device.Name} --socket-path /tmp/{device.Name}.sock{device.ExampleOptions}", ExitCode.Usage);
        virtio = device.Create(arguments, log);
        options = options with { WithheldFeatures = OfferedFeatures.Of(virtio.Traits).Find(arguments.GetValue(_withoutVirtio)!) };
        try
        {
            if (path is not null)
                return new VhostUserServer(virtio, UnixListener.Listen(path, nonBlocking: true), options, log);
            if (fd < 3)
                throw new UserException($"--fd {fd}: 0 to 2 are standard input, output and error; pass the socket as another", ExitCode.Usage);
            FileDescriptor descriptor = FileDescriptor.Adopt(fd!.Value);
            return UnixListener.IsListening(descriptor)
                ? new VhostUserServer(virtio, UnixListener.Adopt(descriptor, nonBlocking: true), options, log)
                : new VhostUserServer(virtio, UnixSocket.Adopt(descriptor, nonBlocking: true), options, log);
        }
        catch (LinuxException refused)
        {
            throw new UserException(Explain(refused, path, fd));
        }
    }

    private static string ExplainPath(string option, string path, LinuxException refused) => refused.Errno switch
    {
        Errno.EADDRINUSE => $"{option} {path}: another program serves this socket; end it or choose another path",
        Errno.EACCES => $"{option} {path}: no permission to make a socket there; choose a directory you may write to",
        Errno.ENOENT or Errno.ENOTDIR => $"{option} {path}: the directory does not exist; make it first",
        _ => $"{option} {path}: {refused.Message}",
    };

    private static string Explain(LinuxException refused, string? path, int? fd) => refused.Errno switch
    {
        _ when path is not null => ExplainPath("--socket-path", path, refused),
        Errno.EBADF => $"--fd {fd}: no such open file descriptor; the parent process must leave it open",
        Errno.ENOTSOCK => $"--fd {fd}: this descriptor is not a socket",
        _ => $"--fd {fd}: {refused.Message}",
    };
}
