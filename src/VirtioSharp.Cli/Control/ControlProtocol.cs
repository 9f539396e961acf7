using System.Text.Json;
using System.Text.Json.Nodes;

namespace VirtioSharp.Cli.Control;

/// <summary>What is said over a control socket: a line with a JSON object each way (docs/control.md).</summary>
internal static class ControlProtocol
{
    public const int Version = 1;

    public const string Status = "status", Resize = "resize";

    /// <summary>Most bytes of a request, with its end of line.</summary>
    public const int MaxRequest = 4096;

    /// <summary>Most bytes of an answer: a device with 256 queues has less.</summary>
    public const int MaxReply = 256 * 1024;

    public static string Request(string command, ulong? bytes = null)
    {
        var request = new JsonObject { ["version"] = Version, ["command"] = command };
        if (bytes is { } length)
            request["bytes"] = length;
        return request.ToJsonString();
    }

    public static string Done(JsonObject result) => new JsonObject { ["version"] = Version, ["ok"] = true, ["result"] = result }.ToJsonString();

    public static string Refused(string error) => new JsonObject { ["version"] = Version, ["ok"] = false, ["error"] = error }.ToJsonString();

    /// <summary>Understands a request.</summary>
    /// <exception cref="FormatException">It is none; the message says why.</exception>
    public static (string Command, ulong? Bytes) Read(ReadOnlyMemory<byte> line)
    {
        try
        {
            using var json = JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 4 });
            if (json.RootElement.ValueKind != JsonValueKind.Object)
                throw new FormatException("a request is a JSON object");
            (int? version, string? command, ulong? bytes) = (null, null, null);
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
                    default:
                        throw new FormatException($"'{property.Name}' is not known, or not such a value");
                }
            }

            if (version != Version)
                throw new FormatException($"version {version?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "is missing"}: this is version {Version}");
            return command is Status or Resize ? (command, bytes) : throw new FormatException($"command '{command}': there are {Status} and {Resize}");
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException)
        {
            throw new FormatException("a request is one JSON object on one line", wrong);
        }
    }
}
