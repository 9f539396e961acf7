using VirtioSharp.SupportTable;

// VirtioSharp.SupportTable RESULTS [--check | --write] [--failed WHAT]...
// The last thing ./test does: says what was skipped and what failed, checks or writes the README's support table,
// and ends with "N passed, N failed, N skipped". --failed: something that went wrong outside the test programs.
if (args.Length == 0)
{
    Console.Error.WriteLine("usage: VirtioSharp.SupportTable RESULTS [--check | --write] [--failed WHAT]...");
    return 2;
}

TestRun run = TestRun.Read(args[0]);
List<string> failures = [.. args.Zip(args.Skip(1)).Where(pair => pair.First == "--failed").Select(pair => pair.Second)];
List(Outcome.Skipped, "Skipped:");
List(Outcome.Failed, "Failed:");

int failed = run.Count(Outcome.Failed) + failures.Count;
if (args.Contains("--write"))
{
    Readme.Write(run);
}
else if (args.Contains("--check"))
{
    if (failed + run.Count(Outcome.Skipped) > 0)
    {
        Console.WriteLine("The README's support table was not checked: that takes a run in which nothing fails or is skipped.");
    }
    else if (Readme.Check(run) is { } difference)
    {
        failures.Add(difference);
        failed++;
    }
}

foreach (string failure in failures)
{
    Console.WriteLine($"Failed: {failure}");
}

Console.WriteLine($"{run.Count(Outcome.Passed)} passed, {failed} failed, {run.Count(Outcome.Skipped)} skipped");
return failed > 0 ? 1 : 0;

void List(Outcome outcome, string title)
{
    var tests = run.Tests.Where(test => test.Outcome == outcome).ToList();
    if (tests.Count == 0)
    {
        return;
    }

    Console.WriteLine(title);
    foreach (RanTest test in tests)
    {
        Console.WriteLine($"  {test.Name}: {test.Detail}");
    }
}
