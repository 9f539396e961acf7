using Spectre.Console;

namespace VirtioSharp.Cli.Output;

/// <summary>How we write to standard output: colour and motion only where a person looks, wide lines where nobody does.</summary>
internal static class Terminal
{
    private const int WidthOfFiles = 110;

    public static void SetUp()
    {
        if (!Console.IsOutputRedirected)
            return;
        AnsiConsole.Console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
        });
        AnsiConsole.Profile.Width = WidthOfFiles;
    }
}
