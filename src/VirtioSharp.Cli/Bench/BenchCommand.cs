using System.CommandLine;
using VirtioSharp.Cli.Drive;
using VirtioSharp.Cli.Output;
using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;
using VirtioSharp.Measure;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.FrontEnd;

namespace VirtioSharp.Cli.Bench;

/// <summary><c>vio bench blk</c>: how fast a vhost-user daemon's disk is, through the driver and without a VM.</summary>
internal sealed class BenchCommand
{
    private readonly Option<string?> _socketPath = BackEnds.SocketPathOption();
    private readonly Option<LoadKind> _kind = new("--rw")
    {
        Description = "What to ask for; randrw mixes",
        DefaultValueFactory = _ => LoadKind.RandRead,
    };

    private readonly Option<int?> _mix = new("--rwmixread") { Description = "Of randrw: how many of a hundred are reads; 50 by default", HelpName = "PERCENT" };
    private readonly Option<bool> _writeOk = new("--write-ok") { Description = "What is on the disk may be destroyed: nothing writes without this" };
    private readonly Option<string> _blockSize = new("--bs") { Description = "Bytes of a request, as in 4k", HelpName = "SIZE", DefaultValueFactory = _ => "4k" };
    private readonly Option<int> _depth = new("--iodepth") { Description = "Requests that each queue has in flight", HelpName = "N", DefaultValueFactory = _ => 1 };
    private readonly Option<int> _queues = new("--queues") { Description = "Queues, with a thread for each", HelpName = "N", DefaultValueFactory = _ => 1 };
    private readonly Option<double> _time = new("--time") { Description = "How long to measure", HelpName = "SECONDS", DefaultValueFactory = _ => 5 };
    private readonly Option<double> _warmUp = new("--warmup") { Description = "How long to go on before that", HelpName = "SECONDS", DefaultValueFactory = _ => 1 };
    private readonly Option<string> _offset = new("--offset") { Description = "Where the part of the disk begins that is used, as in 1M", HelpName = "SIZE", DefaultValueFactory = _ => "0" };
    private readonly Option<string?> _size = new("--size") { Description = "How long it is; without it, to the disk's end", HelpName = "SIZE" };
    private readonly Option<bool> _poll = new("--poll") { Description = "Look for answers all the time instead of sleeping until there is one: a processor for each queue" };
    private readonly Option<OutputFormat> _format = OutputFormatOption.Create();

    public static Command Create() => new DocumentedCommand("bench", "Measure the device of a vhost-user daemon, without a VM", """
        Example:
          vio bench blk --socket-path /tmp/blk.sock
        """) { new BenchCommand().Blk() };

    private DocumentedCommand Blk()
    {
        var command = new DocumentedCommand("blk", "Measure a disk: requests a second, their latency, and what they cost the daemon", """
            Example:
              vio bench blk --socket-path /tmp/blk.sock --iodepth 32
              vio bench blk --socket-path /tmp/blk.sock --rw read --bs 128k --iodepth 8 --queues 2
              vio bench blk --socket-path /tmp/blk.sock --rw randrw --rwmixread 70 --size 64M --write-ok

            The daemon is any that speaks vhost-user-blk. A write destroys what the disk has in the part that is used.
            """)
        {
            _socketPath, _kind, _mix, _writeOk, _blockSize, _depth, _queues, _time, _warmUp, _offset, _size, _poll, _format,
        };
        command.SetAction(Run);
        return command;
    }

    private int Run(ParseResult arguments)
    {
        string path = BackEnds.Require(arguments.GetValue(_socketPath), "bench blk");
        LoadKind kind = arguments.GetValue(_kind);
        BlockLoadOptions load = Load(arguments, kind);
        (TimeSpan warmUp, TimeSpan time) = (Seconds(arguments, _warmUp, least: 0), Seconds(arguments, _time, least: 0.01));
        BenchResult? result = null;
        try
        {
            using VhostUserFrontEnd frontEnd = BackEnds.Connect(path, DeviceId.Block, BlockLoad.Connection(load));
            using var bench = new BlockLoad(frontEnd, load);
            int daemon = frontEnd.BackEndProcess;
            BlockLoadResult measured = BenchProgress.Show(tell => bench.Run(warmUp, time, tell), Name(kind, load));
            result = BenchResult.Of(path, kind, load, bench.Driver, daemon, measured);
        }
        catch (ArgumentException impossible)
        {
            throw new UserException($"--socket-path {path}: {impossible.Message}", ExitCode.Usage);
        }
        catch (Exception failed) when (failed is TransportException or QueueException or DeviceException or TimeoutException or LinuxException)
        {
            throw BackEnds.Explain(path, failed);
        }

        BenchReport.Print(result, Name(kind, load), arguments.GetValue(_format));
        if (result.FirstError is { } error)
            throw new UserException($"--socket-path {path}: {(result.Read?.Errors ?? 0) + (result.Write?.Errors ?? 0)} requests failed; the first: {error}");
        return ExitCode.Success;
    }

    private BlockLoadOptions Load(ParseResult arguments, LoadKind kind)
    {
        int reads = kind switch { LoadKind.Read or LoadKind.RandRead => 100, LoadKind.RandRw => arguments.GetValue(_mix) ?? 50, _ => 0 };
        if (arguments.GetValue(_mix) is not null && kind != LoadKind.RandRw)
            throw new UserException("--rwmixread is for --rw randrw: leave it out, or mix", ExitCode.Usage);
        if (reads is < 0 or > 100)
            throw new UserException($"--rwmixread {reads}: give 0 to 100", ExitCode.Usage);
        if (reads < 100 && !arguments.GetValue(_writeOk))
            throw new UserException($"--rw {Text(kind)} destroys what is on the disk: give --write-ok, too, if nobody needs it", ExitCode.Usage);
        return new BlockLoadOptions
        {
            ReadPercent = reads,
            IsRandom = kind is not (LoadKind.Read or LoadKind.Write),
            BlockBytes = (int)InRange("--bs", ByteSize.Parse("--bs", arguments.GetValue(_blockSize)!), 512, 1 << 30),
            Depth = (int)InRange("--iodepth", arguments.GetValue(_depth), 1, 1024),
            Queues = (int)InRange("--queues", arguments.GetValue(_queues), 1, 256),
            Offset = ByteSize.Parse("--offset", arguments.GetValue(_offset)!),
            Bytes = arguments.GetValue(_size) is { } size ? ByteSize.Parse("--size", size) : null,
            Poll = arguments.GetValue(_poll),
        };
    }

    private static string Name(LoadKind kind, BlockLoadOptions load) =>
        $"{Text(kind)}, {(load.BlockBytes % 1024 == 0 ? $"{load.BlockBytes / 1024} KiB" : $"{load.BlockBytes} bytes")}, {load.Depth} in flight on {(load.Queues == 1 ? "one queue" : $"each of {load.Queues} queues")}";

    private static string Text(LoadKind kind) => kind.ToString().ToLowerInvariant();

    private static TimeSpan Seconds(ParseResult arguments, Option<double> option, double least) => arguments.GetValue(option) is var seconds && seconds >= least && seconds <= 86400
        ? TimeSpan.FromSeconds(seconds)
        : throw new UserException(FormattableString.Invariant($"{option.Name} {seconds}: give {least} to 86400 seconds"), ExitCode.Usage);

    private static long InRange(string option, long value, long least, long most) => value >= least && value <= most
        ? value
        : throw new UserException($"{option} {value}: give {least} to {most}", ExitCode.Usage);
}

/// <summary>What to ask a disk for, in fio's words.</summary>
internal enum LoadKind
{
    /// <summary>One block after the other.</summary>
    Read,
    /// <summary>The same, written.</summary>
    Write,
    /// <summary>Blocks anywhere.</summary>
    RandRead,
    /// <summary>The same, written.</summary>
    RandWrite,
    /// <summary>Both.</summary>
    RandRw,
}
