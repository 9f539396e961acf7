namespace VirtioSharp.Cli.Serve;

/// <summary>The convention's <c>--print-capabilities</c>: JSON on standard output, exit code 0, whatever else was said.</summary>
internal static class Capabilities
{
    public const string Option = "--print-capabilities";

    public static string Of(IServedDevice device) => $$"""{"type": {{JsonEncodedText(device.Name)}}}""";

    private static string JsonEncodedText(string text) => $"\"{System.Text.Json.JsonEncodedText.Encode(text)}\"";
}
