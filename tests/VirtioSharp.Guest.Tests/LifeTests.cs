using System.Diagnostics;
using System.Text.Json.Nodes;

namespace VirtioSharp.Guest.Tests;

/// <summary>Guests reboot, stop, die and come back, and devices are pulled out: the daemon stays, and serves whoever is next.</summary>
[Proves("Entropy device", "QEMU 7.2, Linux guest")]
public sealed class LifeTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string SocketPath => _directory["sock"];

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_guest_reads_after_each_of_two_reboots_and_a_reset()
    {
        string job = GuestJobs.Reboot(times: 2, atEachBoot: GuestJobs.RngThroughput(16384, rounds: 1)) + "\n" + GuestJobs.ReadRngForever;
        GuestOptions options = Guests.On(SocketPath, job) with { ResultBytes = 512, Qmp = true };
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath, "--report", _directory["report"]);
        await using (GuestMachine guest = GuestMachine.Start(options))
        {
            for (int boot = 0; boot <= 2; boot++)
            {
                GuestEvent booted = await guest.WaitForAsync("boot", Guests.Patience, Cancel);
                TestContext.Current.TestOutputHelper?.WriteLine($"{booted.Elapsed.TotalSeconds:F1} s: {booted.Line}");
                Assert.Equal($"{boot}", booted.Value);
                await guest.WaitForAsync("read", Guests.Patience, Cancel);
            }

            await guest.WaitForAsync("read-total", Guests.Patience, Cancel);
            await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);
            await qmp.ExecuteAsync("system_reset", cancellationToken: Cancel);
            await guest.WaitForBootAsync(Cancel);
            await guest.WaitForAsync("read-total", Guests.Patience, Cancel);
        }

        await vio.WaitForLogAsync("front-end left");
        await vio.EndByAsync(VioProcess.SigTerm);
        Report report = Report.Read(_directory["report"]);
        Assert.Equal((4, null), (report.Messages("SET_VRING_KICK"), report.Ended));
    }

    [Fact]
    public async Task A_second_machine_waits_for_the_first_to_leave_and_a_third_comes_after()
    {
        GuestOptions first = Guests.On(SocketPath, GuestJobs.ReadRngForever);
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        Task second;
        await using (GuestMachine guest = GuestMachine.Start(first))
        {
            await guest.WaitForAsync("read-total", Guests.Patience, Cancel);
            second = Guests.AssertServedAsync(SocketPath);
            await Task.Delay(1000, Cancel);
            Assert.DoesNotContain("front-end left", vio.Errors, StringComparison.Ordinal);
            Assert.False(second.IsCompleted);
        }

        await second;

        await Guests.AssertServedAsync(SocketPath);
        await vio.WaitForLogAsync("front-end left", times: 3);
    }

    [Fact]
    public async Task After_QEMU_was_killed_in_the_middle_of_a_read_a_new_one_is_served()
    {
        GuestOptions options = Guests.On(SocketPath, GuestJobs.ReadRngForever);
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        int before = vio.OpenDescriptors;
        await using (GuestMachine guest = GuestMachine.Start(options))
        {
            await guest.WaitForAsync("read-total", Guests.Patience, Cancel);
            guest.Kill();
            await guest.Ended;
        }

        await Guests.AssertServedAsync(SocketPath);

        await vio.WaitForLogAsync("front-end left", times: 2);
        await vio.WaitForLogAsync("listening on", times: 3);
        Assert.Equal(before, vio.OpenDescriptors);
    }

    [Fact]
    public async Task The_device_is_pulled_out_and_plugged_in_again()
    {
        const string job = """
            current=/sys/class/misc/hw_random/rng_current
            vio ready
            while :; do
                until grep -q virtio $current; do sleep 0.1; done
                dd if=/dev/hwrng of=/dev/null bs=16k count=1 iflag=fullblock 2>/dev/null && vio plugged
                while grep -q virtio $current; do sleep 0.1; done
                vio unplugged
            done
            """;
        GuestOptions options = Guests.Without(job) with
        {
            Devices = ["-device", "pcie-root-port,id=rp0,slot=1,chassis=1"],
            Qmp = true,
        };
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        await using GuestMachine guest = GuestMachine.Start(options);
        await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);
        await guest.WaitForAsync("ready", Guests.Patience, Cancel);
        for (int round = 1; round <= 2; round++)
        {
            await qmp.ExecuteAsync("chardev-add", SocketNamed("c0"), Cancel);
            await qmp.ExecuteAsync("device_add", new() { ["driver"] = "vhost-user-rng-pci", ["chardev"] = "c0", ["bus"] = "rp0", ["id"] = "rng" }, Cancel);
            await guest.WaitForAsync("plugged", Guests.Patience, Cancel);

            await qmp.ExecuteAsync("device_del", new() { ["id"] = "rng" }, Cancel);
            await guest.WaitForAsync("unplugged", Guests.Patience, Cancel);
            await qmp.WaitForEventAsync("DEVICE_DELETED", Cancel);
            await RemoveAsync("c0", qmp);

            await vio.WaitForLogAsync("front-end left", times: round);
        }
    }

    [Fact]
    public async Task A_guest_that_was_stopped_goes_on_reading_where_it_was()
    {
        long total = 0;
        GuestOptions options = Guests.On(SocketPath, GuestJobs.ReadRngForever) with
        {
            Qmp = true,
            OnEvent = line => _ = line.Key == "read-total" && long.TryParse(line.Value, out total),
        };
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        await using GuestMachine guest = GuestMachine.Start(options);
        await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);
        await guest.WaitForAsync("read-total", Guests.Patience, Cancel);
        for (int round = 0; round < 3; round++)
        {
            await qmp.ExecuteAsync("stop", cancellationToken: Cancel);
            await Task.Delay(200, Cancel); // for what is on its way from the console
            long before = Volatile.Read(ref total);

            await qmp.ExecuteAsync("cont", cancellationToken: Cancel);

            long start = Stopwatch.GetTimestamp();
            while (Volatile.Read(ref total) <= before)
            {
                Assert.True(Stopwatch.GetElapsedTime(start) < Guests.Patience, $"no more bytes after 'cont' {round}; the daemon said: {vio.Errors}");
                await Task.Delay(10, Cancel);
            }
        }

        Assert.DoesNotContain("front-end left", vio.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("fail:", vio.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ended_by_a_signal_while_a_guest_reads_the_daemon_leaves_nothing_behind()
    {
        GuestOptions options = Guests.On(SocketPath, GuestJobs.ReadRngForever);
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        await using GuestMachine guest = GuestMachine.Start(options);
        await guest.WaitForAsync("read-total", Guests.Patience, Cancel);
        long start = Stopwatch.GetTimestamp();

        Ending end = await vio.EndByAsync(VioProcess.SigTerm);

        TestContext.Current.TestOutputHelper?.WriteLine($"ended {Stopwatch.GetElapsedTime(start).TotalMilliseconds:F1} ms after the signal");
        Assert.Equal((0, ""), (end.ExitCode, end.Output));
        Assert.False(File.Exists(SocketPath));
    }

    [Fact]
    public async Task Machines_that_come_and_go_leave_neither_descriptors_nor_memory_behind()
    {
        const int warmUp = 3;
        const int cycles = 10;
        Guests.KernelOrSkip();
        await using VioProcess vio = await VioProcess.ServeRngAsync(SocketPath);
        for (int i = 0; i < warmUp; i++)
            await ComeAndGoAsync();
        await vio.WaitForLogAsync("listening on", times: 1 + warmUp);
        (int descriptors, long memory) = (vio.OpenDescriptors, vio.ResidentBytes);

        for (int i = 0; i < cycles; i++)
            await ComeAndGoAsync();

        await vio.WaitForLogAsync("listening on", times: 1 + warmUp + cycles);
        TestContext.Current.TestOutputHelper?.WriteLine($"{descriptors} → {vio.OpenDescriptors} descriptors, {memory >> 10} → {vio.ResidentBytes >> 10} KiB");
        Assert.Equal(descriptors, vio.OpenDescriptors);
        // These are the runtime's own pages, which warm up a little. Guest memory that stayed mapped is not among them.
        Assert.InRange(vio.ResidentBytes, 0, memory + (4 << 20));
        Assert.DoesNotContain("memory-backend-memfd", File.ReadAllText($"/proc/{vio.Id}/maps"), StringComparison.Ordinal);
    }

    private JsonObject SocketNamed(string id) => new()
    {
        ["id"] = id,
        ["backend"] = new JsonObject
        {
            ["type"] = "socket",
            ["data"] = new JsonObject
            {
                ["server"] = false,
                ["addr"] = new JsonObject { ["type"] = "unix", ["data"] = new JsonObject { ["path"] = SocketPath } },
            },
        },
    };

    // QEMU says that the device is deleted a moment before it lets go of its chardev.
    private static async Task RemoveAsync(string chardev, QmpClient qmp)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                await qmp.ExecuteAsync("chardev-remove", new() { ["id"] = chardev }, Cancel);
                return;
            }
            catch (QmpException busy) when (busy.Message.Contains("busy", StringComparison.Ordinal) && attempt < 500)
            {
                await Task.Delay(10, Cancel);
            }
        }
    }

    // No kernel: QEMU greets the back-end when it makes the device, and is told to quit.
    private async Task ComeAndGoAsync()
    {
        using Process qemu = Process.Start(new ProcessStartInfo(HostTools.Qemu,
        [
            "-S", "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none", "-m", "64M",
            "-object", "memory-backend-memfd,id=mem0,size=64M,share=on", "-machine", "q35,memory-backend=mem0",
            "-chardev", $"socket,id=c0,path={SocketPath}", "-device", "vhost-user-rng-pci,chardev=c0", "-qmp", "stdio",
        ])
        { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        await qemu.StandardInput.WriteLineAsync("""{"execute":"qmp_capabilities"}{"execute":"quit"}""");
        string said = await qemu.StandardOutput.ReadToEndAsync(Cancel);
        await qemu.WaitForExitAsync(Cancel);
        Assert.True(qemu.ExitCode == 0, said);
    }
}
