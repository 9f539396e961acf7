using System.Globalization;
using System.Xml;
using System.Xml.Linq;

namespace VirtioSharp.SupportTable;

internal enum Outcome
{
    Passed,
    Failed,
    Skipped,
}

/// <summary>
/// One test as it went: <paramref name="Detail"/> is why it failed or was skipped,
/// <paramref name="Proves"/> the "feature | transport" of each <c>[Proves]</c> it carries.
/// </summary>
internal sealed record RanTest(string Name, string Class, Outcome Outcome, string Detail, IReadOnlyList<string> Proves);

/// <summary>
/// What the test programs left in the results directory: NAME.exit, the exit code, from <c>./test</c>, and
/// NAME.xml, from xunit. A program that left no XML crashed; one that ran nothing proves nothing. Both are failures.
/// </summary>
internal sealed class TestRun(IReadOnlyList<RanTest> tests)
{
    public IReadOnlyList<RanTest> Tests { get; } = tests;

    public int Count(Outcome outcome) => Tests.Count(test => test.Outcome == outcome);

    public static TestRun Read(string directory) =>
        new([.. Directory.GetFiles(directory, "*.exit").Order(StringComparer.Ordinal).SelectMany(ReadProgram)]);

    private static IEnumerable<RanTest> ReadProgram(string exitFile)
    {
        string program = Path.GetFileNameWithoutExtension(exitFile);
        int exitCode = int.Parse(File.ReadAllText(exitFile), CultureInfo.InvariantCulture);
        XDocument document;
        try
        {
            document = XDocument.Load(Path.ChangeExtension(exitFile, ".xml"));
        }
        catch (Exception e) when (e is IOException or XmlException)
        {
            string how = exitCode switch
            {
                124 or 137 => "was killed, or took too long",
                125 => "was not run",
                _ => "crashed",
            };
            return [Broken(program, $"{how} (exit code {exitCode}): it left no results")];
        }

        List<RanTest> tests = [.. document.Descendants("test").Where(HasRun).Select(ReadTest)];
        tests.AddRange(document.Descendants("error").Select(error => Broken(program, Detail(error))));
        if (tests.Count == 0)
        {
            tests.Add(Broken(program, "ran no test"));
        }
        else if (exitCode != 0 && tests.All(test => test.Outcome != Outcome.Failed))
        {
            tests.Add(Broken(program, $"ended with exit code {exitCode}, though no test failed"));
        }

        return tests;
    }

    // Explicit tests are listed but not run.
    private static bool HasRun(XElement test) => (string?)test.Attribute("result") != "NotRun";

    private static RanTest Broken(string program, string detail) => new(program, program, Outcome.Failed, detail, []);

    private static RanTest ReadTest(XElement test) => new(
        (string?)test.Attribute("name") ?? "?",
        (string?)test.Attribute("type") ?? "?",
        (string?)test.Attribute("result") switch
        {
            "Pass" => Outcome.Passed,
            "Skip" => Outcome.Skipped,
            _ => Outcome.Failed,
        },
        Detail(test),
        [.. test.Descendants("trait").Where(t => (string?)t.Attribute("name") == "proves").Select(t => (string?)t.Attribute("value") ?? "")]);

    // "Assert.Equal() Failure: …", "Expected: …", "Actual: …": three lines say most; the stream above said all.
    private static string Detail(XElement element)
    {
        string text = (element.Element("reason") ?? element.Descendants("message").FirstOrDefault())?.Value.Trim() ?? "";
        return string.Join("; ", text.Split('\n').Take(3).Select(line => line.Trim()));
    }
}
