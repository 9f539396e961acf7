namespace VirtioSharp.Cli.Serve;

/// <summary>The convention's <c>--print-capabilities</c>: JSON on standard output, exit code 0, whatever else was said.</summary>
internal static class Capabilities
{
    public const string Option = "--print-capabilities";

    public static string Of(IServedDevice device) => device.Features is { } features
        ? $$"""{"type": {{Text(device.Type)}}, "features": [{{string.Join(", ", features.Select(Text))}}]}"""
        : $$"""{"type": {{Text(device.Type)}}}""";

    private static string Text(string text) => $"\"{System.Text.Json.JsonEncodedText.Encode(text)}\"";
}
