using System.Text.Json;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Trace;

/// <summary>A walk as a trace that Perfetto and chrome://tracing open: a thread for each side, a slice for each step.</summary>
internal static class ChromeTrace
{
    public static void Write(Walk walk, Stream output)
    {
        using var json = new Utf8JsonWriter(output, new JsonWriterOptions { Indented = true });
        json.WriteStartObject();
        json.WriteString("displayTimeUnit", "ns");
        json.WriteStartArray("traceEvents");
        foreach (WalkSide side in Enum.GetValues<WalkSide>())
        {
            Start(json, "M", "thread_name", side);
            json.WriteStartObject("args");
            json.WriteString("name", side.ToString());
            json.WriteEndObject();
            json.WriteEndObject();
        }

        foreach (WalkStep step in walk.Steps)
        {
            Start(json, "X", step.Name, step.Side);
            json.WriteString("cat", step.Side.ToString());
            json.WriteNumber("ts", step.Start.TotalMicroseconds);
            json.WriteNumber("dur", step.Duration.TotalMicroseconds);
            json.WriteStartObject("args");
            json.WriteString("section", step.Section);
            json.WriteStartArray("details");
            foreach (string detail in step.Details)
                json.WriteStringValue(detail);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Start(Utf8JsonWriter json, string phase, string name, WalkSide side)
    {
        json.WriteStartObject();
        json.WriteString("ph", phase);
        json.WriteString("name", name);
        json.WriteNumber("pid", 1);
        json.WriteNumber("tid", (int)side + 1);
    }
}
