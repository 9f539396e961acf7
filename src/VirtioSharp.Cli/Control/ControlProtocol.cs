using System.Text.Json;
using System.Text.Json.Nodes;

namespace VirtioSharp.Cli.Control;

/// <summary>What is asked of a daemon.</summary>
/// <param name="Command"><see cref="ControlProtocol.Status"/> or <see cref="ControlProtocol.Resize"/>.</param>
/// <param name="Bytes">How long the disk shall be; null to look how long it is.</param>
/// <param name="MayShrink">Whether that may be shorter than it is.</param>
internal readonly record struct ControlRequest(string Command, ulong? Bytes = null, bool MayShrink = false);

/// <summary>What is said over a control socket: a line with a JSON object each way (docs/control.md).</summary>
internal static class ControlProtocol
{
    public const int Version = 1;

    public const string Status = "status", Resize = "resize";

    /// <summary>Most bytes of a request, with its end of line.</summary>
    public const int MaxRequest = 4096;

    /// <summary>Most bytes of an answer: a device with 256 queues has less.</summary>
    public const int MaxReply = 256 * 1024;

    public static string Line(ControlRequest asked)
    {
        var request = new JsonObject { ["version"] = Version, ["command"] = asked.Command };
        if (asked.Bytes is { } length)
            request["bytes"] = length;
        if (asked.MayShrink)
            request["shrink"] = true;
        return request.ToJsonString();
    }

    public static string Done(JsonObject result) => new JsonObject { ["version"] = Version, ["ok"] = true, ["result"] = result }.ToJsonString();

    public static string Refused(string error) => new JsonObject { ["version"] = Version, ["ok"] = false, ["error"] = error }.ToJsonString();

    /// <summary>Understands an answer: a result, or why there is none.</summary>
    /// <exception cref="FormatException">It is none.</exception>
    public static (JsonObject? Result, string? Error) ReadAnswer(string line)
    {
        JsonNode? answer;
        try
        {
            answer = JsonNode.Parse(line, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
        }
        catch (JsonException wrong)
        {
            throw new FormatException("an answer is one JSON object on one line", wrong);
        }

        if (answer is not JsonObject fields || fields["version"] is not JsonValue value || !value.TryGetValue(out int version))
            throw new FormatException("an answer is a JSON object with a version");
        if (version != Version)
            return (null, $"the daemon answers in version {version} of the protocol, and this 'vio' knows version {Version}; ask with the daemon's own 'vio'");
        return fields["ok"] is JsonValue ok && ok.TryGetValue(out bool isDone)
            ? isDone ? (fields["result"] as JsonObject, null) : (null, fields["error"] is JsonValue error && error.TryGetValue(out string? text) ? text : "the daemon says no, and not why")
            : throw new FormatException("an answer says whether it is ok");
    }

    /// <summary>Understands a request.</summary>
    /// <exception cref="FormatException">It is none; the message says why.</exception>
    public static ControlRequest Read(ReadOnlyMemory<byte> line)
    {
        try
        {
            using var json = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 4 });
            if (json.RootElement.ValueKind != JsonValueKind.Object)
                throw new FormatException("a request is a JSON object");
            (int? version, string? command, ulong? bytes, bool shrink) = (null, null, null, false);
            foreach (JsonProperty property in json.RootElement.EnumerateObject())
            {
                switch (property.Name)
                {
                    case "version" when property.Value.TryGetInt32(out int number):
                        version = number;
                        break;
                    case "command":
                        command = property.Value.GetString();
                        break;
                    case "bytes" when property.Value.TryGetUInt64(out ulong number):
                        bytes = number;
                        break;
                    case "shrink" when property.Value.ValueKind is JsonValueKind.True or JsonValueKind.False:
                        shrink = property.Value.GetBoolean();
                        break;
                    default:
                        throw new FormatException($"'{property.Name}' is not known, or not such a value");
                }
            }

            if (version != Version)
                throw new FormatException($"version {version?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "is missing"}: this is version {Version}");
            if (command is not (Status or Resize))
                throw new FormatException($"command '{command}': there are {Status} and {Resize}");
            if (command == Status && bytes is not null)
                throw new FormatException("'bytes' belongs to resize");
            return !shrink || bytes is not null ? new(command, bytes, shrink) : throw new FormatException("'shrink' belongs to a resize with 'bytes'");
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException)
        {
            throw new FormatException("a request is one JSON object on one line", wrong);
        }
    }
}
