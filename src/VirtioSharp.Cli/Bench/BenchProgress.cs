using System.Diagnostics;
using System.Globalization;
using Spectre.Console;
using VirtioSharp.Measure;

namespace VirtioSharp.Cli.Bench;

/// <summary>How a measurement goes, on standard error: a bar where a person looks, and elsewhere a line now and then.</summary>
internal static class BenchProgress
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(2);

    public static BlockLoadResult Show(Func<Action<BlockLoadProgress>, BlockLoadResult> run, string name) =>
        Console.IsErrorRedirected ? Lines(run) : Bar(run, name);

    private static BlockLoadResult Bar(Func<Action<BlockLoadProgress>, BlockLoadResult> run, string name)
    {
        IAnsiConsole errors = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return errors.Progress().AutoClear(true).Columns(new TaskDescriptionColumn { Alignment = Justify.Left }, new ProgressBarColumn(), new RemainingTimeColumn()).Start(context =>
        {
            ProgressTask task = context.AddTask(Markup.Escape(name), maxValue: 1);
            return run(now =>
            {
                task.Value = now.Part;
                task.Description = Markup.Escape($"{name}: {Text(now)}");
            });
        });
    }

    private static BlockLoadResult Lines(Func<Action<BlockLoadProgress>, BlockLoadResult> run)
    {
        (long start, long last) = (Stopwatch.GetTimestamp(), Stopwatch.GetTimestamp());
        return run(now =>
        {
            if (Stopwatch.GetElapsedTime(last) < Every)
                return;
            last = Stopwatch.GetTimestamp();
            Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(start).TotalSeconds,6:F1} s  {Text(now)}"));
        });
    }

    private static string Text(BlockLoadProgress now) => string.Create(CultureInfo.InvariantCulture, $"{now.PerSecond:N0} IOPS{(now.IsWarmUp ? ", warming up" : "")}");
}
