using Spectre.Console;
using VirtioSharp.Qemu;

namespace VirtioSharp.Cli.Boot;

/// <summary>Shows a guest's life: a moving line on a terminal, a line for each step everywhere.</summary>
internal static class Progress
{
    /// <summary>Runs a guest to its end.</summary>
    /// <param name="describe">What an event means to people; null is not shown.</param>
    /// <param name="start">Starts it; is given what to call for each event.</param>
    public static Task<IReadOnlyList<GuestEvent>> ShowAsync(Func<GuestEvent, string?> describe, Func<Action<GuestEvent>, Task<IReadOnlyList<GuestEvent>>> start)
    {
        if (!AnsiConsole.Profile.Capabilities.Interactive)
            return start(one => WriteStep(one));
        return AnsiConsole.Status().StartAsync("booting …", status => start(one =>
        {
            if (WriteStep(one) is { } step)
                status.Status(Markup.Escape($"{step} …"));
        }));

        string? WriteStep(GuestEvent one)
        {
            string? step = one.Key == GuestEvent.Done ? "job done, powering off" : describe(one);
            if (step is not null)
                AnsiConsole.WriteLine($"{one.Elapsed.TotalSeconds,6:F1} s  {step}");
            return step;
        }
    }
}
