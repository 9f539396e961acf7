using System.Text.Json;
using System.Text.Json.Serialization;
using VirtioSharp.Spec;
using VirtioSharp.VhostUser.BackEnd;

namespace VirtioSharp.Cli.Output;

/// <summary>A session's report as JSON.</summary>
internal static class ReportFile
{
    /// <summary>Writes it whole or not at all: a reader never sees half a report.</summary>
    public static void Write(string path, SessionReport report)
    {
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        File.WriteAllText(temporary, JsonSerializer.Serialize(report, ReportJson.Default.SessionReport));
        File.Move(temporary, path, overwrite: true);
    }

    public static SessionReport Read(string path) =>
        JsonSerializer.Deserialize(File.ReadAllText(path), ReportJson.Default.SessionReport)
        ?? throw new InvalidDataException($"{path} holds no report");
}

[JsonSourceGenerationOptions(
    WriteIndented = true,
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    UseStringEnumConverter = true,
    Converters = [typeof(FeatureSetConverter)])]
[JsonSerializable(typeof(SessionReport))]
internal sealed partial class ReportJson : JsonSerializerContext;

/// <summary>Features as a list of bit numbers.</summary>
internal sealed class FeatureSetConverter : JsonConverter<FeatureSet>
{
    public override FeatureSet Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        FeatureSet features = Features.None;
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
            features |= FeatureSet.Bit(reader.GetInt32());
        return features;
    }

    public override void Write(Utf8JsonWriter writer, FeatureSet value, JsonSerializerOptions options)
    {
        writer.WriteStartArray();
        foreach (int bit in value)
            writer.WriteNumberValue(bit);
        writer.WriteEndArray();
    }
}
