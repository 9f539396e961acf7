using System.Diagnostics;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;
using VirtioSharp.Qemu.Qtest;

namespace VirtioSharp.Qemu.Tests.Qtest;

public class QtestMachineTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(QtestMachineType.Q35)]
    [InlineData(QtestMachineType.Pc)]
    [InlineData(QtestMachineType.MicroVm)]
    [InlineData(QtestMachineType.ArmVirt)]
    public async Task The_machines_memory_is_ours_too(QtestMachineType type)
    {
        await using QtestMachine machine = await Machines.StartAsync(type);
        DmaBuffer buffer = machine.Dma.Allocate(8);

        machine.Qtest.Write(buffer.Address.Value, 8, 0x1122_3344_5566_7788);
        machine.Qtest.Flush();

        Assert.Equal(0x1122_3344_5566_7788UL, MemoryMarshal.Read<ulong>(buffer.Span));
        Assert.Equal(0x88, machine.Memory(buffer.Address, 8)[0]);
        buffer.Span[0] = 0x99;
        Assert.Equal(0x99UL, machine.Qtest.Read(buffer.Address.Value, 1));
    }

    [Fact]
    public async Task Control_commands_reach_the_same_QEMU()
    {
        await using QtestMachine machine = await Machines.StartAsync(QtestMachineType.Q35);

        await machine.ExecuteAsync("stop", cancellationToken: Cancel);
        string? status = (await machine.ExecuteAsync("query-status", cancellationToken: Cancel)).GetProperty("status").GetString();

        Assert.Equal("paused", status);
    }

    [Fact]
    public async Task A_device_that_QEMU_does_not_know_fails_with_its_words()
    {
        GuestException error = await Assert.ThrowsAsync<GuestException>(
            () => Machines.StartAsync(QtestMachineType.Q35, "-device", "virtio-hamster-pci"));

        Assert.Contains("'virtio-hamster-pci' is not a valid device model name", error.Message, StringComparison.Ordinal);
        Assert.Contains("exit code 1", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public async Task An_option_that_QEMU_does_not_know_fails_with_its_words()
    {
        GuestException error = await Assert.ThrowsAsync<GuestException>(
            () => Machines.StartAsync(QtestMachineType.Q35, "-hamster"));

        Assert.Contains("-hamster: invalid option", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_QEMU_that_never_gets_ready_is_given_up_on()
    {
        using TemporaryDirectory directory = new();
        using UnixListener silent = UnixListener.Listen(directory["back-end"]); // QEMU connects, asks, and waits
        QtestOptions options = new()
        {
            Devices = ["-chardev", $"socket,id=c0,path={directory["back-end"]}", "-device", "vhost-user-rng-pci,chardev=c0"],
            Patience = TimeSpan.FromSeconds(1),
        };

        GuestException error = await Assert.ThrowsAsync<GuestException>(() => Machines.StartAsync(options));

        Assert.Contains("QEMU has not made the machine within 1 s", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_emulator_that_is_not_there_is_an_error_that_says_what_to_install()
    {
        QtestOptions options = new() { Machine = QtestMachineType.ArmVirt, Qemu = "qemu-system-hamster" };

        GuestException error = await Assert.ThrowsAsync<GuestException>(() => QtestMachine.StartAsync(options, Cancel));

        Assert.Contains("qemu-system-hamster was not found: run 'apt install qemu-system-arm'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_killed_QEMU_is_an_error_at_the_next_access()
    {
        await using QtestMachine machine = await Machines.StartAsync(QtestMachineType.Q35);

        machine.Kill();
        await machine.Ended.WaitAsync(Guests.Patience, Cancel);

        TransportException error = Assert.Throws<TransportException>(() => machine.Qtest.Read(0, 4));
        Assert.Contains("exit code 137", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_running_machine_has_no_files_that_a_crash_could_leave_behind()
    {
        await using QtestMachine machine = await Machines.StartAsync(QtestMachineType.Q35);

        string words = string.Join(' ', machine.CommandLine.Split(' ').Where(word => word.EndsWith("/qtest", StringComparison.Ordinal)));

        Assert.StartsWith("unix:", words, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.GetDirectoryName(words["unix:".Length..])));
        await machine.ExecuteAsync("system_reset", cancellationToken: Cancel);
        await machine.Qmp.WaitForEventAsync("RESET", Cancel).WaitAsync(Guests.Patience, Cancel);
        Assert.Equal("little", machine.Qtest.Execute("endianness"));
    }

    [Fact]
    public async Task Disposing_a_machine_ends_QEMU()
    {
        QtestMachine machine = await Machines.StartAsync(QtestMachineType.Q35);

        await machine.DisposeAsync();

        Assert.Throws<ArgumentException>(() => Process.GetProcessById(machine.ProcessId));
    }
}
