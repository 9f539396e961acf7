using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace VirtioSharp.Cli;

/// <summary>A command with something to say after the list of its options: an example, at the least.</summary>
internal sealed class DocumentedCommand(string name, string description, string notes) : Command(name, description)
{
    /// <summary>Teaches the <c>--help</c> of <paramref name="root"/> and all its commands to say it.</summary>
    public static void ShowNotes(RootCommand root)
    {
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
            if (help.Action is HelpAction action)
                help.Action = new HelpWithNotes(action);
    }

    private sealed class HelpWithNotes(HelpAction help) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parsed)
        {
            int result = help.Invoke(parsed);
            if (parsed.CommandResult.Command is DocumentedCommand command)
                parsed.InvocationConfiguration.Output.WriteLine(command.Notes);
            return result;
        }
    }

    private string Notes { get; } = notes;
}
