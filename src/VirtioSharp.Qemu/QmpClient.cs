using System.Buffers;
using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;

namespace VirtioSharp.Qemu;

/// <summary>
/// QEMU's control connection (docs/interop/qmp-spec): one JSON object per line each way. Commands may overlap;
/// replies find their command by id, and events come in between.
/// </summary>
public sealed class QmpClient : IAsyncDisposable
{
    private const int ListensWithin = 2000; // milliseconds

    private readonly Socket _socket;
    private readonly StreamReader _reader;
    private readonly ConcurrentDictionary<string, TaskCompletionSource<JsonElement>> _waiting = [];
    private readonly Channel<QmpEvent> _events = Channel.CreateUnbounded<QmpEvent>();
    private readonly SemaphoreSlim _oneWriter = new(1);
    private Task _reading = Task.CompletedTask;
    private volatile bool _closed;
    private int _lastId;

    private QmpClient(Socket connected)
    {
        _socket = connected;
        _reader = new StreamReader(new NetworkStream(connected, ownsSocket: false), Encoding.UTF8);
    }

    /// <summary>What QEMU said first: its version and capabilities.</summary>
    public JsonElement Greeting { get; private set; }

    /// <summary>Connects to QEMU's socket and leaves the negotiation mode.</summary>
    public static async Task<QmpClient> ConnectAsync(string socketPath, CancellationToken cancellationToken = default)
    {
        Socket socket = await OpenAsync(socketPath, cancellationToken).ConfigureAwait(false);
        QmpClient client = new(socket);
        try
        {
            await client.NegotiateAsync(cancellationToken).ConfigureAwait(false);
            return client;
        }
        catch
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Sends a command and waits for what it returns.</summary>
    /// <exception cref="QmpException">QEMU refused it, or is gone.</exception>
    public async Task<JsonElement> ExecuteAsync(
        string command, JsonObject? arguments = null, CancellationToken cancellationToken = default)
    {
        string id = Interlocked.Increment(ref _lastId).ToString(CultureInfo.InvariantCulture);
        TaskCompletionSource<JsonElement> reply = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _waiting[id] = reply;
        // The reader marks us closed and then fails everyone in the table, so one of the two sees this command.
        if (_closed)
            throw Gone();
        try
        {
            await SendAsync(Format(command, arguments, id), cancellationToken).ConfigureAwait(false);
            JsonElement answer = await reply.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            return answer.TryGetProperty("error", out JsonElement error)
                ? throw new QmpException($"QEMU refused {command}: {error.GetProperty("desc").GetString()}")
                : answer.GetProperty("return");
        }
        finally
        {
            _waiting.TryRemove(id, out _);
        }
    }

    /// <summary>Events from here on, until the connection ends. One reader at a time.</summary>
    public IAsyncEnumerable<QmpEvent> ReadEventsAsync(CancellationToken cancellationToken = default) =>
        _events.Reader.ReadAllAsync(cancellationToken);

    /// <summary>Waits for an event by name and passes over everything before it.</summary>
    public async Task<QmpEvent> WaitForEventAsync(string name, CancellationToken cancellationToken = default)
    {
        await foreach (QmpEvent happened in ReadEventsAsync(cancellationToken).ConfigureAwait(false))
        {
            if (happened.Name == name)
                return happened;
        }
        throw Gone();
    }

    /// <summary>Closes the connection; QEMU goes on.</summary>
    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        await _reading.ConfigureAwait(false);
        _reader.Dispose();
        _oneWriter.Dispose();
    }

    /// <summary>A QEMU that has just made its socket refuses connections for a moment, until it listens.</summary>
    private static async Task<Socket> OpenAsync(string socketPath, CancellationToken cancellationToken)
    {
        long end = Environment.TickCount64 + ListensWithin;
        while (true)
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken).ConfigureAwait(false);
                return socket;
            }
            catch (SocketException refused)
            {
                socket.Dispose();
                if (refused.SocketErrorCode != SocketError.ConnectionRefused || Environment.TickCount64 >= end)
                    throw new QmpException($"no QMP at {socketPath}: {refused.Message}; is QEMU running with -qmp unix:{socketPath},server=on?", refused);
            }
            catch
            {
                socket.Dispose();
                throw;
            }

            await Task.Delay(5, cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task NegotiateAsync(CancellationToken cancellationToken)
    {
        string greeting = await ReadGreetingAsync(cancellationToken).ConfigureAwait(false)
            ?? throw new QmpException("QEMU closed its QMP connection without a greeting: is somebody else connected?");
        Greeting = Parse(greeting).GetProperty("QMP");
        _reading = ReadAsync();
        await ExecuteAsync("qmp_capabilities", cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>A QEMU that ends while we wait closes its socket, or resets it when it had not yet taken our connection.</summary>
    private async Task<string?> ReadGreetingAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _reader.ReadLineAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (IOException)
        {
            throw Gone();
        }
    }

    private async Task SendAsync(ReadOnlyMemory<byte> line, CancellationToken cancellationToken)
    {
        await _oneWriter.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            while (!line.IsEmpty)
                line = line[await _socket.SendAsync(line, cancellationToken).ConfigureAwait(false)..];
        }
        catch (Exception error) when (error is SocketException or ObjectDisposedException)
        {
            throw Gone();
        }
        finally
        {
            _oneWriter.Release();
        }
    }

    private async Task ReadAsync()
    {
        try
        {
            while (await _reader.ReadLineAsync().ConfigureAwait(false) is string line)
            {
                JsonElement message = Parse(line);
                if (message.TryGetProperty("event", out JsonElement name))
                    _events.Writer.TryWrite(new QmpEvent(name.GetString()!, message.TryGetProperty("data", out JsonElement data) ? data : default));
                else if (message.TryGetProperty("id", out JsonElement id) && _waiting.TryRemove(id.GetString()!, out TaskCompletionSource<JsonElement>? reply))
                    reply.SetResult(message);
            }
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException or JsonException)
        {
            // The connection is gone, or what comes is no longer QMP. Either way everyone who waits hears it below.
        }
        _closed = true;
        _events.Writer.Complete();
        foreach (TaskCompletionSource<JsonElement> reply in _waiting.Values)
            reply.TrySetException(Gone());
    }

    private static ReadOnlyMemory<byte> Format(string command, JsonObject? arguments, string id)
    {
        ArrayBufferWriter<byte> line = new();
        using (Utf8JsonWriter json = new(line))
        {
            json.WriteStartObject();
            json.WriteString("execute", command);
            json.WriteString("id", id);
            if (arguments is not null)
            {
                json.WritePropertyName("arguments");
                arguments.WriteTo(json);
            }
            json.WriteEndObject();
        }
        line.Write("\n"u8);
        return line.WrittenMemory;
    }

    private static JsonElement Parse(string line)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        return document.RootElement.Clone();
    }

    private static QmpException Gone() => new("QEMU closed its QMP connection: it has ended, or somebody stopped it");
}
