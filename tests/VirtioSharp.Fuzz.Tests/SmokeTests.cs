using System.Globalization;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Fuzz.Tests;

/// <summary>A few seconds of fuzzing of each end of each ring and of the vhost-user back-end, from the seeds in the repository.</summary>
public sealed class SmokeTests
{
    [Theory]
    [InlineData("device-split")]
    [InlineData("device-packed")]
    [Proves("Hostile driver", "in process")]
    public Task Whatever_a_driver_writes_the_device_serves_or_asks_for_a_reset(string target) => FindsNothing(target);

    [Theory]
    [InlineData("driver-split")]
    [InlineData("driver-packed")]
    [Proves("Hostile device", "in process")]
    public Task Whatever_a_device_writes_the_driver_gives_out_what_is_in_flight_or_stops(string target) => FindsNothing(target);

    [Fact]
    public Task Whatever_a_front_end_sends_the_next_one_is_served() => FindsNothing("vhost-user");

    private static async Task FindsNothing(string target)
    {
        string seeds = FuzzProcess.InRepository($"fuzz/seeds/{target}");
        Assert.NotEmpty(Directory.GetFiles(seeds));

        // A new seed each day and place: what is found is kept, and replayed by its file.
        int seed = Environment.TickCount & int.MaxValue | 1;
        var (exitCode, output) = await FuzzProcess.Run(
            target, "12", "--runs", "1000000", "--seed", seed.ToString(CultureInfo.InvariantCulture),
            "--seeds", seeds, "--findings", FuzzProcess.InRepository("artifacts/fuzz"));

        Assert.True(exitCode == 0, $"seed {seed}: {output}");
        TestContext.Current.SendDiagnosticMessage(output);
    }
}
