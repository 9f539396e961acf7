using System.CommandLine;

namespace VirtioSharp.Cli.Output;

/// <summary>What the parser has to say, on one line: it lists what it would have liked on lines of their own.</summary>
internal static class ParseErrors
{
    public static string OneLine(ParseResult parsed) =>
        string.Join(' ', parsed.Errors[0].Message.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)).TrimEnd('.');
}
