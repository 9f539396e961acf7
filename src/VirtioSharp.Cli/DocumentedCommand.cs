using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace VirtioSharp.Cli;

/// <summary>A command with something to say after the list of its options: an example, at the least.</summary>
internal sealed class DocumentedCommand(string name, string description, string notes) : Command(name, description)
{
    /// <summary>Teaches the <c>--help</c> of <paramref name="root"/> and all its commands to say it.</summary>
    /// <param name="root">The program.</param>
    /// <param name="rootNotes">What the program itself has to say.</param>
    public static void ShowNotes(RootCommand root, string rootNotes)
    {
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
            if (help.Action is HelpAction action)
                help.Action = new HelpWithNotes(action, rootNotes);
    }

    /// <summary>Whether help was asked for.</summary>
    public static bool IsHelp(ParseResult parsed) => parsed.Action is HelpWithNotes;

    private sealed class HelpWithNotes(HelpAction help, string rootNotes) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parsed)
        {
            int result = help.Invoke(parsed);
            string notes = parsed.CommandResult.Command is DocumentedCommand command ? command.Notes : rootNotes;
            parsed.InvocationConfiguration.Output.WriteLine(notes);
            return result;
        }
    }

    private string Notes { get; } = notes;
}
