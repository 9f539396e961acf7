using Spectre.Console;
using VirtioSharp.Qemu;

namespace VirtioSharp.Cli.Boot;

/// <summary>Shows a guest's life: a moving line on a terminal, a line for each step everywhere.</summary>
internal static class Progress
{
    /// <summary>Runs a guest to its end.</summary>
    /// <param name="start">Starts it; is given what to call for each event.</param>
    public static Task<IReadOnlyList<GuestEvent>> ShowAsync(Func<Action<GuestEvent>, Task<IReadOnlyList<GuestEvent>>> start)
    {
        if (!AnsiConsole.Profile.Capabilities.Interactive)
            return start(one => WriteStep(one));
        return AnsiConsole.Status().StartAsync("booting …", status => start(one =>
        {
            if (WriteStep(one) is { } step)
                status.Status(Markup.Escape($"{step} …"));
        }));
    }

    private static string? WriteStep(GuestEvent one)
    {
        string? step = Describe(one);
        if (step is not null)
            AnsiConsole.WriteLine($"{one.Elapsed.TotalSeconds,6:F1} s  {step}");
        return step;
    }

    private static string? Describe(GuestEvent one) => one.Key switch
    {
        GuestEvent.Up => "the kernel is up, virtio_rng is loaded",
        "rng-current" => $"rng_current is {one.Value}, reading /dev/hwrng",
        "read" => $"read {one.Value.Replace(" ", " bytes in ", StringComparison.Ordinal)} s",
        "delivered" => "bytes handed to the host",
        GuestEvent.Done => "job done, powering off",
        _ => null,
    };
}
