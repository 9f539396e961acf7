using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace VirtioSharp.Guest.Tests;

/// <summary>Debian's virtio_rng driver reads our device: the right bytes, all of them, and good ones.</summary>
[Proves("Entropy device", "QEMU 7.2, Linux guest")]
public sealed partial class EntropyTests : IDisposable
{
    private const int TwoMebibytes = 2 * 1024 * 1024;

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task What_the_guest_reads_is_what_the_device_gave()
    {
        GuestOptions options = Guests.On(_directory["sock"], GuestJobs.ReadRng(TwoMebibytes)) with { ResultBytes = TwoMebibytes };
        var source = new KnownSource(_directory["source"], 2 * TwoMebibytes);
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"], "--rng-source", source.Path, "--report", _directory["report"]);
        await using GuestMachine guest = GuestMachine.Start(options);

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal("virtio_rng.0", events.Single(line => line.Key == "rng-current").Value);
        int skipped = source.AssertContains(guest.ReadResults(TwoMebibytes));
        await vio.WaitForLogAsync("front-end left");
        await vio.EndByAsync(VioProcess.SigTerm);
        Report report = Report.Read(_directory["report"]);
        Assert.InRange(report.BytesWritten, TwoMebibytes + skipped, 2 * TwoMebibytes);
        Assert.Equal((1, null), (report.RingStarts, report.Ended));
        Assert.Empty(report.Faults);
        string seconds = events.Single(line => line.Key == "read").Value;
        TestContext.Current.TestOutputHelper?.WriteLine($"read: {seconds} s; the guest's kernel kept {skipped} bytes");
    }

    [Fact]
    public async Task What_the_guest_reads_passes_FIPS_140_2()
    {
        const string rngtest = "/usr/bin/rngtest";
        GuestOptions options = Guests.On(_directory["sock"], GuestJobs.ReadRng(TwoMebibytes)) with { ResultBytes = TwoMebibytes };
        if (!File.Exists(rngtest))
            Assert.Skip($"{rngtest} was not found: run 'apt install rng-tools5'");
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"]);
        await using GuestMachine guest = GuestMachine.Start(options);
        await guest.RunToEndAsync(Guests.Patience, Cancel);
        File.WriteAllBytes(_directory["random"], guest.ReadResults(TwoMebibytes));

        string verdict = await JudgeAsync(rngtest, _directory["random"]);

        int failures = Number(Failures().Match(verdict));
        int blocks = failures + Number(Successes().Match(verdict));
        TestContext.Current.TestOutputHelper?.WriteLine($"{failures} of {blocks} blocks failed; chance allows {MostFailuresByChance(blocks)}");
        Assert.Equal(838, blocks); // of 20000 bits
        Assert.True(failures <= MostFailuresByChance(blocks), $"{failures} of {blocks} blocks failed: {verdict}");
    }

    // Perfect randomness fails a block's tests (monobit, poker, runs, long run) with a probability of 0.08 %. Failures are
    // independent and rare, so their number follows Poisson's law with the mean 838 · 0.0008 = 0.67. The bound is where
    // its tail falls below one in a million: P(8 or more) = 6 · 10⁻⁷, so seven are allowed.
    private static int MostFailuresByChance(int blocks)
    {
        double mean = blocks * 0.0008;
        double exactly = Math.Exp(-mean);
        double tail = 1 - exactly;
        int failures = 0;
        while (tail >= 1e-6)
        {
            failures++;
            exactly *= mean / failures;
            tail -= exactly;
        }

        return failures;
    }

    private static async Task<string> JudgeAsync(string rngtest, string file)
    {
        // Its verdict is on standard error; its exit code is 1 as soon as one block has failed.
        using Process process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "exec \"$0\" <\"$1\" 2>&1", rngtest, file]) { RedirectStandardOutput = true })!;
        string verdict = await process.StandardOutput.ReadToEndAsync(Cancel);
        await process.WaitForExitAsync(Cancel);
        return verdict;
    }

    private static int Number(Match match) => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture);

    [GeneratedRegex("FIPS 140-2 failures: ([0-9]+)")]
    private static partial Regex Failures();

    [GeneratedRegex("FIPS 140-2 successes: ([0-9]+)")]
    private static partial Regex Successes();
}
