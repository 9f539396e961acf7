using System.Reflection;
using System.Text.RegularExpressions;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Repository.Tests;

/// <summary>What the documents say is so: their links lead somewhere, and a test runs each command of the README.</summary>
public sealed partial class DocumentTests
{
    // docs/support.md is made from a test run, and compared with the next one.
    public static TheoryData<string> Documents => [.. Repository.Files("*.md").Select(Repository.Relative).Where(document => document != "docs/support.md")];

    [Theory]
    [MemberData(nameof(Documents))]
    public void Links_to_files_lead_to_files(string document)
    {
        string file = Repository.In(document);
        string prose = SupportTable().Replace(Fence().Replace(File.ReadAllText(file), ""), "");

        var broken = Link().Matches(prose)
            .Select(link => link.Groups["path"].Value)
            .Where(path => path.Length > 0 && !path.Contains(':') && !Path.Exists(Path.Combine(Path.GetDirectoryName(file)!, path)));

        Assert.Empty(broken);
    }

    /// <summary>A test says <c>[Runs("…")]</c>. <c>./test</c> itself is run by whoever runs this.</summary>
    [Fact]
    public void Every_command_of_the_README_is_run_by_a_test()
    {
        Assert.SkipUnless(File.Exists(Repository.In("README.md")), "There is no README.md yet.");
        HashSet<string> run = [.. TestAssemblies().SelectMany(CommandsRunBy), "./test"];

        Assert.Empty(CommandsIn(File.ReadAllText(Repository.In("README.md"))).Except(run));
    }

    [Fact]
    public void Commands_are_the_lines_of_sh_blocks_without_prompt_and_comment()
    {
        const string Text = "```sh\n$ ./run   # all of it\n\n# a remark\n./test Core\n```\n```csharp\nvar x = 1;\n```\n";

        Assert.Equal(["./run", "./test Core"], CommandsIn(Text));
    }

    private static IEnumerable<string> CommandsIn(string text) =>
        Fence().Matches(text)
            .Where(fence => fence.Groups["language"].Value is "sh" or "bash" or "shell" or "console")
            .SelectMany(fence => fence.Groups["body"].Value.Split('\n'))
            .Select(line => Comment().Replace(line, "").Trim())
            .Select(line => line.StartsWith("$ ", StringComparison.Ordinal) ? line[2..].Trim() : line)
            .Where(line => line.Length > 0);

    // Read from the compiled programs, so that a command whose test is gone has no test here either.
    private static IEnumerable<Assembly> TestAssemblies() =>
        Repository.Files("*.Tests.csproj", "tests")
            .Select(project => Path.Combine(Path.GetDirectoryName(project)!, BuildOutput, Repository.NameOf(project) + ".dll"))
            .Where(File.Exists)
            .Select(Assembly.LoadFrom);

    // bin/Release/net10.0, whichever this one was built to.
    private static string BuildOutput =>
        Path.GetRelativePath(Repository.In("tests/VirtioSharp.Repository.Tests"), AppContext.BaseDirectory);

    private static IEnumerable<string> CommandsRunBy(Assembly assembly) =>
        assembly.GetTypes()
            .SelectMany(type => type.GetMethods())
            .Where(method => method.IsDefined(typeof(FactAttribute), inherit: true))
            .SelectMany(method => method.GetCustomAttributes<RunsAttribute>())
            .Select(runs => runs.Command);

    [GeneratedRegex(@"^```(?<language>\w*)[^\n]*\n(?<body>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();

    // Made from a test run, and compared with the next one.
    [GeneratedRegex("<!-- support:begin -->.*<!-- support:end -->", RegexOptions.Singleline)]
    private static partial Regex SupportTable();

    [GeneratedRegex(@"(^|\s)#.*$")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\]\((?<path>[^)#\s]*)")]
    private static partial Regex Link();
}
