using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Proxy;

namespace VirtioSharp.Cli.Proxy;

/// <summary>What a proxy saw, in a file that <c>vio trace</c> opens: all sessions so far, each with its messages.</summary>
internal sealed class SessionTrace(string listen, string connect)
{
    /// <summary>What such a file says it is.</summary>
    public const string Kind = "vhost-user sessions, version 1";

    private readonly List<TracedSession> _sessions = [];

    public void Begin(int number, DateTimeOffset at) => _sessions.Add(new TracedSession(number, at, [], null, null, null));

    public void Add(ProxiedMessage message) => _sessions[^1].Messages.Add(TracedMessage.Of(_sessions[^1].Number, message));

    public void End(ProxiedSession session) => _sessions[^1] = _sessions[^1] with
    {
        Features = session.Features?.ToString(),
        ProtocolFeatures = session.ProtocolFeatures is { } protocol ? ProtocolFeatureSheet.Describe(protocol) : null,
        Ended = session.Ended,
    };

    /// <summary>Writes it whole or not at all.</summary>
    public void Write(string path)
    {
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        File.WriteAllText(temporary, JsonSerializer.Serialize(new TracedSessions(Kind, listen, connect, _sessions), SessionTraceJson.Document.TracedSessions));
        File.Move(temporary, path, overwrite: true);
    }

    /// <exception cref="UserException">It is not such a file.</exception>
    public static TracedSessions Read(string path)
    {
        try
        {
            TracedSessions? read = JsonSerializer.Deserialize(File.ReadAllText(path), SessionTraceJson.Document.TracedSessions);
            return read is { Kind: Kind, Sessions: not null } ? read : throw new UserException($"{path} holds no sessions of 'vio proxy --trace'");
        }
        catch (JsonException broken)
        {
            throw new UserException($"{path} holds no sessions of 'vio proxy --trace': {broken.Message}");
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new UserException($"{path}: {refused.Message}");
        }
    }
}

/// <summary>The file.</summary>
internal sealed record TracedSessions(string Kind, string Listen, string Connect, List<TracedSession> Sessions);

/// <summary>One front-end's time.</summary>
internal sealed record TracedSession(
    int Number, DateTimeOffset Started, List<TracedMessage> Messages, string? Features, string? ProtocolFeatures, string? Ended);

/// <summary>One message.</summary>
internal sealed record TracedMessage(
    int Session,
    double AtMicroseconds,
    ProxySender Sender,
    string Name,
    bool IsReply,
    bool IsBackEndChannel,
    uint Request,
    uint Flags,
    uint Size,
    double? TookMicroseconds,
    IReadOnlyList<string> Fields,
    IReadOnlyList<string> Descriptors,
    IReadOnlyList<string> Remarks)
{
    public static TracedMessage Of(int session, ProxiedMessage message) => new(
        session, message.At.TotalMicroseconds, message.Sender, message.Name, message.IsReply, message.IsBackEndChannel,
        message.Request, message.Flags, message.Size, message.Took?.TotalMicroseconds, message.Fields, message.Descriptors, message.Remarks);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(TracedSessions))]
[JsonSerializable(typeof(TracedMessage))]
internal sealed partial class SessionTraceJson : JsonSerializerContext
{
    private static SessionTraceJson? _document, _line;

    /// <summary>A file that people may look into.</summary>
    public static SessionTraceJson Document => _document ??= Make(indented: true);

    /// <summary>An object per line.</summary>
    public static SessionTraceJson Line => _line ??= Make(indented: false);

    private static SessionTraceJson Make(bool indented) => new(new JsonSerializerOptions(Default.Options)
    {
        WriteIndented = indented,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // a file, not a web page: arrows and quotes as they are
    });
}
