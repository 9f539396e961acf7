using System.Text.Json;
using System.Text.Json.Serialization;
using Spectre.Console;
using VirtioSharp.Check;

namespace VirtioSharp.Cli.Check;

/// <summary>Takes the results as they come, and writes them.</summary>
internal interface ICheckReport : IDisposable
{
    void Add(CheckGroup group, CheckResult result, int done, int total);

    void Finish();

    static ICheckReport Of(CheckFormat format) => format switch
    {
        CheckFormat.Json => new LateReport(JsonReport.Write),
        CheckFormat.Markdown => new LateReport(MarkdownReport.Write),
        _ => new TextReport(),
    };
}

/// <summary>Row by row, so that one sees where it is.</summary>
internal sealed class TextReport : ICheckReport
{
    private readonly Dictionary<Verdict, int> _counts = [];
    private CheckGroup? _group;

    public void Add(CheckGroup group, CheckResult result, int done, int total)
    {
        if (_group != group)
            Console.WriteLine($"{(_group is null ? "" : "\n")}{group.Title}");
        _group = group;
        _counts[result.Verdict] = _counts.GetValueOrDefault(result.Verdict) + 1;
        (string word, string colour) = result.Verdict switch
        {
            Verdict.Pass => ("PASS", "green"),
            Verdict.Fail => ("FAIL", "red"),
            _ => ("SKIP", "yellow"),
        };
        AnsiConsole.Markup($"  [{colour}]{word}[/]");
        Console.WriteLine($"  {result.Case.Name,-36} {result.Seen}");
        Console.WriteLine($"        {result.Case.Requirement}");
        Console.WriteLine($"        ({result.Case.Source})");
    }

    public void Finish() => Console.WriteLine(
        $"\n{_counts.GetValueOrDefault(Verdict.Pass)} passed, {_counts.GetValueOrDefault(Verdict.Fail)} failed, {_counts.GetValueOrDefault(Verdict.Skip)} skipped");

    public void Dispose()
    {
    }
}

/// <summary>Keeps everything to the end; meanwhile standard error says how far it is.</summary>
internal sealed class LateReport(Action<IReadOnlyList<(CheckGroup Group, CheckResult Result)>> write) : ICheckReport
{
    private const long Quiet = 5000;

    private readonly List<(CheckGroup, CheckResult)> _results = [];
    private long _said = Environment.TickCount64;

    public void Add(CheckGroup group, CheckResult result, int done, int total)
    {
        _results.Add((group, result));
        if (Environment.TickCount64 - _said < Quiet)
            return;
        _said = Environment.TickCount64;
        Console.Error.WriteLine($"vio: {done} of {total} cases, the last was {result.Case.Name}");
    }

    public void Finish() => write(_results);

    public void Dispose()
    {
    }
}

/// <summary>One object with all rows.</summary>
internal static class JsonReport
{
    public static void Write(IReadOnlyList<(CheckGroup Group, CheckResult Result)> results)
    {
        int Count(Verdict verdict) => results.Count(row => row.Result.Verdict == verdict);

        Console.WriteLine(JsonSerializer.Serialize(
            new CheckJson(Count(Verdict.Pass), Count(Verdict.Fail), Count(Verdict.Skip),
                [.. results.Select(row => new CheckRow(row.Group.Title, row.Result.Case.Name, row.Result.Verdict, row.Result.Case.Requirement, row.Result.Case.Source, row.Result.Seen, row.Result.Took.TotalMilliseconds))]),
            CheckJsonContext.Default.CheckJson));
    }
}

/// <summary>What <c>vio check --format json</c> prints.</summary>
internal sealed record CheckJson(int Passed, int Failed, int Skipped, IReadOnlyList<CheckRow> Cases);

/// <summary>A row of it.</summary>
internal sealed record CheckRow(string Group, string Case, Verdict Verdict, string Requirement, string Source, string Seen, double Milliseconds);

/// <summary>What <c>vio check --list --format json</c> prints: a row of the list.</summary>
internal sealed record CaseRow(string Group, string Case, string Requirement, string Source, string Needs);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(CheckJson))]
[JsonSerializable(typeof(CaseRow[]))]
internal sealed partial class CheckJsonContext : JsonSerializerContext;
