using System.CommandLine;
using System.Text;
using System.Text.Json.Nodes;
using Spectre.Console;
using VirtioSharp.Cli.Output;
using VirtioSharp.Linux;

namespace VirtioSharp.Cli.Control;

/// <summary><c>vio ctl</c>: asks a running <c>vio serve</c> for something, by its control socket.</summary>
internal static class CtlCommand
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static Command Create()
    {
        var path = new Option<string?>("--control-path")
        {
            Description = "The control socket of the daemon: what its own --control-path says",
            HelpName = "PATH",
            Recursive = true,
        };
        var ctl = new DocumentedCommand("ctl", "Ask a running 'vio serve' for its status, or give its disk another size", """
            Example:
              vio ctl status --control-path /tmp/blk.ctl
              vio ctl resize 20G --control-path /tmp/blk.ctl
            """) { path };
        ctl.Add(CreateStatus(path));
        ctl.Add(CreateResize(path));
        return ctl;
    }

    private static DocumentedCommand CreateStatus(Option<string?> path)
    {
        Option<OutputFormat> format = OutputFormatOption.Create();
        var status = new DocumentedCommand("status", "Show the device, who is connected, the negotiated features, and where its queues stand", """
            Example:
              vio ctl status --control-path /tmp/blk.ctl
              vio ctl status --control-path /tmp/blk.ctl --format json
            """) { format };
        status.SetAction(arguments =>
        {
            JsonObject result = Ask(arguments.GetValue(path), "status", new(ControlProtocol.Status), IsStatus);
            if (arguments.GetValue(format) == OutputFormat.Json)
                Console.WriteLine(result.ToJsonString());
            else
                Write(result);
            return ExitCode.Success;
        });
        return status;
    }

    private static DocumentedCommand CreateResize(Option<string?> path)
    {
        var size = new Argument<string?>("SIZE")
        {
            Description = "Bytes, with K, M, G, T or P behind them if you like; without it, the daemon looks how long its file is now",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var shrink = new Option<bool>("--shrink") { Description = "SIZE may be less than the disk has: what lies behind its new end is lost" };
        var resize = new DocumentedCommand("resize", "Make the disk's file longer, or with --shrink shorter; a guest that is connected is told", """
            Example:
              vio ctl resize 20G --control-path /tmp/blk.ctl
              vio ctl resize 10G --shrink --control-path /tmp/blk.ctl
              vio ctl resize --control-path /tmp/blk.ctl
            """) { size, shrink };
        resize.SetAction(arguments =>
        {
            ulong? bytes = arguments.GetValue(size) is not { } given ? null
                : ByteSize.TryParse(given, out ulong number) ? number
                : throw new UserException($"{given}: {ByteSize.Hint}", ExitCode.Usage);
            bool mayShrink = arguments.GetValue(shrink);
            if (mayShrink && bytes is null)
                throw new UserException("--shrink: give the SIZE, too, as in: vio ctl resize 10G --shrink --control-path /tmp/blk.ctl", ExitCode.Usage);
            JsonObject result = Ask(arguments.GetValue(path), "resize 20G", new(ControlProtocol.Resize, bytes, mayShrink), IsSize);
            Console.WriteLine($"{result["bytes"]} bytes");
            return ExitCode.Success;
        });
        return resize;
    }

    private static bool IsStatus(JsonObject result) =>
        result["queues"] is JsonArray queues && queues.All(queue => queue is JsonObject && queue["running"] is JsonValue running && running.TryGetValue(out bool _));

    private static bool IsSize(JsonObject result) => result["bytes"] is JsonValue bytes && bytes.TryGetValue(out ulong _);

    /// <returns>What was answered, of which <paramref name="fits"/> says whether it is an answer to that.</returns>
    /// <exception cref="UserException">Nobody is there, or the answer is no, or none.</exception>
    private static JsonObject Ask(string? path, string command, ControlRequest request, Func<JsonObject, bool> fits)
    {
        if (path is not { Length: > 0 })
            throw new UserException($"give --control-path PATH, as in: vio ctl {command} --control-path /tmp/blk.ctl", ExitCode.Usage);
        try
        {
            using UnixSocket socket = UnixSocket.Connect(path, Patience);
            socket.SendAllWithFds(Encoding.UTF8.GetBytes(ControlProtocol.Line(request) + "\n"), [], Patience);
            (JsonObject? result, string? error) = ControlProtocol.ReadAnswer(ReadLine(socket, path));
            if (error is not null)
                throw new UserException($"--control-path {path}: {error}");
            return result is not null && fits(result) ? result : throw Stranger(path);
        }
        catch (LinuxException refused)
        {
            throw new UserException(refused.Errno switch
            {
                Errno.ENOENT => $"--control-path {path}: there is no such socket; start the daemon with it, as in: vio serve blk … --control-path {path}",
                Errno.ECONNREFUSED => $"--control-path {path}: nobody listens there; the daemon that made it has ended",
                Errno.EACCES => $"--control-path {path}: no permission to connect; run as the daemon's user",
                _ => $"--control-path {path}: {refused.Message}",
            });
        }
        catch (FormatException)
        {
            throw Stranger(path);
        }
    }

    private static UserException Stranger(string path) => new($"--control-path {path}: what answers there is no 'vio serve'");

    private static string ReadLine(UnixSocket socket, string path)
    {
        byte[] line = new byte[ControlProtocol.MaxReply];
        using var none = new ReceivedFds(1);
        for (int length = 0; length < line.Length;)
        {
            if (!Readiness.WaitReadable(socket.Descriptor, Patience))
                throw new UserException($"--control-path {path}: no answer within {Patience.TotalSeconds} s");
            int received = socket.ReceiveWithFds(line.AsSpan(length), none);
            if (received == 0)
                throw new UserException($"--control-path {path}: the daemon closed the connection without an answer");
            length += Math.Max(received, 0);
            int end = line.AsSpan(0, length).IndexOf((byte)'\n');
            if (end >= 0)
                return Encoding.UTF8.GetString(line, 0, end);
        }

        throw Stranger(path);
    }

    private static void Write(JsonObject status)
    {
        Table table = Tables.TwoColumns();
        foreach ((string name, JsonNode? value) in status)
        {
            if (name != "queues")
                table.AddRow(Markup.Escape(name), Markup.Escape(Text(value)));
        }

        foreach (JsonNode? queue in status["queues"]!.AsArray().Where(queue => queue!["running"]!.GetValue<bool>()))
        {
            table.AddRow($"queue '{Markup.Escape(Text(queue!["name"]))}'", Markup.Escape(
                $"next available {Text(queue["nextAvailable"])}, {Text(queue["inFlight"])} in flight, {Text(queue["kicks"])} kicks, {Text(queue["chains"])} chains ({Text(queue["faultyChains"])} faulty), {Text(queue["interrupts"])} interrupts"));
        }

        AnsiConsole.Write(table);
    }

    private static string Text(JsonNode? value) => value switch
    {
        null => "none",
        JsonArray list => string.Join(' ', list.Select(Text)),
        JsonObject fields => string.Join('\n', fields.Select(field => $"{field.Key} {Text(field.Value)}")),
        _ => value.ToString(),
    };
}
