namespace VirtioSharp.Check.Tests.Support;

/// <summary>Runs of the check in this process.</summary>
internal static class Checks
{
    /// <summary>Runs all cases, or those named, against an entropy daemon.</summary>
    public static List<CheckResult> Run(string socketPath, double seconds = 20, params string[] names) =>
        [.. new CheckRun(new CheckOptions { SocketPath = socketPath, Device = "rng", Timeout = TimeSpan.FromSeconds(seconds) }).Run(Named(names))];

    public static IEnumerable<CheckCase> Named(params string[] names) =>
        names.Length == 0 ? CheckList.All : names.Select(name => CheckList.All.Single(one => one.Name == name));

    /// <summary>The rows with a verdict, as text for an assertion's message.</summary>
    public static string[] With(this IEnumerable<CheckResult> results, Verdict verdict) =>
        [.. results.Where(result => result.Verdict == verdict).Select(result => $"{result.Case.Name}: {result.Seen}")];
}
