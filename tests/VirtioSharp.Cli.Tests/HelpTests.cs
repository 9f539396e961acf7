using System.Text.RegularExpressions;

namespace VirtioSharp.Cli.Tests;

public sealed partial class HelpTests
{
    [Fact]
    public async Task Every_command_has_a_help_with_an_example_of_it()
    {
        var queue = new Queue<string[]>([[]]);
        var seen = new List<string>();
        while (queue.TryDequeue(out string[]? command))
        {
            Ending help = await VioProcess.RunAsync([.. command, "--help"]);
            string line = string.Join(' ', command.Prepend("vio"));
            seen.Add(line);

            Assert.Equal((0, ""), (help.ExitCode, help.Errors));
            Assert.Matches($@"(?s)Examples?:.*\n  {Regex.Escape(line)}", help.Output);
            foreach (string name in Subcommands(help.Output))
                queue.Enqueue([.. command, name]);
        }

        Assert.Equal(
            [
                "vio", "vio serve", "vio ctl", "vio probe", "vio check", "vio read", "vio write", "vio bench", "vio demo", "vio trace", "vio proxy", "vio boot",
                "vio serve rng", "vio serve blk", "vio ctl status", "vio ctl resize", "vio read rng", "vio read blk", "vio write blk", "vio bench blk", "vio boot rng", "vio boot blk",
            ],
            seen);
    }

    [Fact]
    public async Task The_help_of_serve_tells_how_to_start_QEMU()
    {
        Ending help = await VioProcess.RunAsync("serve", "rng", "--help");

        Assert.Contains("share=on", help.Output, StringComparison.Ordinal);
        Assert.Contains("-device vhost-user-rng-pci,chardev=c0", help.Output, StringComparison.Ordinal);
    }

    // "Commands:", then one indented line each.
    private static IEnumerable<string> Subcommands(string help) =>
        CommandList().Match(help).Groups["name"].Captures.Select(name => name.Value);

    [GeneratedRegex(@"Commands:\n(  (?<name>[a-z-]+).*\n(   .*\n)*)+")]
    private static partial Regex CommandList();
}
