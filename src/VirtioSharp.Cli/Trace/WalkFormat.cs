using System.CommandLine;
using VirtioSharp.Transports.Tracing;

namespace VirtioSharp.Cli.Trace;

/// <summary>What becomes of a walk.</summary>
internal enum WalkFormat
{
    /// <summary>A tree, a timeline and the ring, for a terminal.</summary>
    Text,
    /// <summary>Chrome's trace format, for Perfetto.</summary>
    Json,
    /// <summary>A picture.</summary>
    Svg,
}

/// <summary>Prints walks.</summary>
internal static class WalkOutput
{
    public static Option<WalkFormat> CreateOption(string description) => new("--format")
    {
        Description = description,
        DefaultValueFactory = _ => WalkFormat.Text,
    };

    public static void Write(Walk walk, string picture, WalkFormat format)
    {
        switch (format)
        {
            case WalkFormat.Json:
                using (Stream output = Console.OpenStandardOutput())
                    ChromeTrace.Write(walk, output);
                Console.WriteLine();
                break;
            case WalkFormat.Svg:
                WalkSvg.Write(walk, Console.Out);
                break;
            default:
                Console.WriteLine(picture);
                Console.WriteLine();
                WalkText.Write(walk, Console.Out);
                break;
        }
    }
}
