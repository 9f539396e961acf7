using System.Diagnostics;

namespace VirtioSharp.Qemu.Tests;

public class GuestMachineTests
{
    private const int TwoMebibytes = 2 * 1024 * 1024;

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Linux_takes_the_device_as_its_entropy_source()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.RngCurrent));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal("virtio_rng.0", events.Single(line => line.Key == "rng-current").Value);
    }

    [Fact]
    public async Task Without_a_device_Linux_has_no_entropy_source()
    {
        GuestOptions options = Guests.WithRng(GuestJobs.RngCurrent) with { Devices = [] };
        await using GuestMachine guest = GuestMachine.Start(options);

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal("none", events.Single(line => line.Key == "rng-current").Value);
    }

    [Fact]
    public async Task Two_mebibytes_read_by_the_guest_arrive_at_the_host()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.ReadRng(TwoMebibytes), TwoMebibytes));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        byte[] bytes = guest.ReadResults(TwoMebibytes);
        Assert.StartsWith($"{TwoMebibytes} ", events.Single(line => line.Key == "read").Value, StringComparison.Ordinal);
        Assert.Equal(Convert.ToHexStringLower(bytes[..32]), events.Single(line => line.Key == "head").Value);
        Assert.All(bytes.Chunk(4096), chunk => Assert.Contains(chunk, value => value != 0));
    }

    [Fact]
    public async Task A_short_read_is_delivered_too()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.ReadRng(100), resultBytes: 100));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal(Convert.ToHexStringLower(guest.ReadResults(32)), events.Single(line => line.Key == "head").Value);
    }

    [Fact]
    public async Task Throughput_is_told_once_for_each_round()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.RngThroughput(65536, rounds: 3)));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal(3, events.Count(line => line.Key == "read"));
    }

    [Fact]
    public async Task A_guest_reboots_twice_and_finds_its_entropy_source_each_time()
    {
        string job = GuestJobs.Reboot(times: 2, atEachBoot: GuestJobs.RngCurrent);
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(job, resultBytes: 512));

        IReadOnlyList<GuestEvent> events = await guest.RunToEndAsync(Guests.Patience, Cancel);

        Assert.Equal(["0", "1", "2"], events.Where(line => line.Key == "boot").Select(line => line.Value));
        Assert.Equal(3, events.Count(line => line is { Key: "rng-current", Value: "virtio_rng.0" }));
    }

    [Fact]
    public async Task A_system_reset_boots_a_reading_guest_again()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.ReadRngForever) with { Qmp = true });
        await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);
        await guest.WaitForAsync("read-total", Guests.Patience, Cancel);

        await qmp.ExecuteAsync("system_reset", cancellationToken: Cancel);

        await guest.WaitForBootAsync(Cancel);
        await guest.WaitForAsync("read-total", Guests.Patience, Cancel);
    }

    [Fact]
    public async Task A_bad_command_line_fails_with_the_words_of_QEMU()
    {
        GuestOptions options = Guests.WithRng("") with { Devices = ["-device", "virtio-hamster-pci"] };
        await using GuestMachine guest = GuestMachine.Start(options);

        GuestException error = await Assert.ThrowsAsync<GuestException>(() => guest.WaitForBootAsync(Cancel));

        Assert.Contains("exit code 1", error.Message, StringComparison.Ordinal);
        Assert.Contains("'virtio-hamster-pci' is not a valid device model name", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void An_emulator_that_is_not_there_is_an_error_that_says_what_to_install()
    {
        GuestException error = Assert.Throws<GuestException>(
            () => GuestMachine.Start(Guests.WithRng("") with { Qemu = "qemu-system-hamster" }));

        Assert.Contains("qemu-system-hamster was not found: run 'apt install", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_job_that_fails_is_an_error_with_its_exit_code()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng("echo the reason; exit 3"));

        GuestException error = await Assert.ThrowsAsync<GuestException>(() => guest.RunToEndAsync(Guests.Patience, Cancel));

        Assert.Contains("exit code 3", error.Message, StringComparison.Ordinal);
        Assert.Contains("the reason", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_that_stays_silent_is_an_error_with_the_last_console_lines()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.RngCurrent + "\n" + GuestJobs.Wait));
        await guest.WaitForBootAsync(Cancel);

        GuestException error = await Assert.ThrowsAsync<GuestException>(
            () => guest.WaitForAsync("never", TimeSpan.FromSeconds(2), Cancel));

        Assert.Contains("@vio rng-current virtio_rng.0", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_kernel_panic_is_told_at_once()
    {
        GuestOptions options = Guests.WithRng("") with { KernelArguments = "rdinit=/bin/false", ExitOnReboot = true };
        await using GuestMachine guest = GuestMachine.Start(options);

        GuestException error = await Assert.ThrowsAsync<GuestException>(() => guest.WaitForBootAsync(Cancel));

        Assert.Contains("panicked", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_exception_of_the_callers_callback_reaches_the_caller_and_ends_QEMU()
    {
        GuestOptions options = Guests.WithRng(GuestJobs.Wait) with
        {
            OnEvent = line => throw new InvalidOperationException("a bug of the caller"),
        };
        await using GuestMachine guest = GuestMachine.Start(options);

        await Assert.ThrowsAsync<InvalidOperationException>(() => guest.WaitForBootAsync(Cancel));

        Assert.Equal(137, guest.ExitCode);
    }

    [Fact]
    public async Task A_killed_QEMU_is_noticed()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.Wait));
        await guest.WaitForBootAsync(Cancel);

        using (Process qemu = Process.GetProcessById(guest.ProcessId))
            qemu.Kill();

        GuestException error = await Assert.ThrowsAsync<GuestException>(
            () => guest.WaitForAsync("done", Guests.Patience, Cancel));
        Assert.Contains("QEMU ended with exit code 137", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Disposing_a_guest_ends_QEMU_and_removes_its_files()
    {
        GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.Wait, resultBytes: 512));

        await guest.DisposeAsync();

        Assert.Throws<ArgumentException>(() => Process.GetProcessById(guest.ProcessId));
        Assert.False(Directory.Exists(Path.GetDirectoryName(guest.ResultsFile)));
    }
}
