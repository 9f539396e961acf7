using System.CommandLine;

namespace VirtioSharp.Cli.Output;

/// <summary>For whom a command prints.</summary>
internal enum OutputFormat
{
    /// <summary>For people.</summary>
    Text,
    /// <summary>For programs.</summary>
    Json,
}

/// <summary><c>--format</c>, the same wherever it is.</summary>
internal static class OutputFormatOption
{
    public static Option<OutputFormat> Create() => new("--format")
    {
        Description = "text for people, json for programs",
        DefaultValueFactory = _ => OutputFormat.Text,
    };
}
