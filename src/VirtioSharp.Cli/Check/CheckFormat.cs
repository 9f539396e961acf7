namespace VirtioSharp.Cli.Check;

/// <summary>How the result is written.</summary>
internal enum CheckFormat
{
    /// <summary>For people, row by row as it goes.</summary>
    Text,
    /// <summary>For programs, when all is done.</summary>
    Json,
    /// <summary>For documents, when all is done.</summary>
    Markdown,
}
