using System.Net.Sockets;
using VirtioSharp.Linux;

namespace VirtioSharp.Qemu.Tests;

public class QmpClientTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_stopped_machine_says_so_and_continues()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.Wait) with { Qmp = true });
        await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);

        await qmp.ExecuteAsync("stop", cancellationToken: Cancel);
        string? stopped = (await qmp.ExecuteAsync("query-status", cancellationToken: Cancel)).GetProperty("status").GetString();
        await qmp.ExecuteAsync("cont", cancellationToken: Cancel);

        Assert.Equal("paused", stopped);
        await qmp.WaitForEventAsync("RESUME", Cancel);
        await guest.WaitForBootAsync(Cancel);
    }

    [Fact]
    public async Task A_device_can_be_added_to_a_running_guest_and_removed()
    {
        GuestOptions options = Guests.WithRng("""
            vio before $(cat /sys/class/misc/hw_random/rng_current)
            until grep -q virtio /sys/class/misc/hw_random/rng_current; do sleep 0.1; done
            vio after $(cat /sys/class/misc/hw_random/rng_current)
            while grep -q virtio /sys/class/misc/hw_random/rng_current; do sleep 0.1; done
            vio removed
            while :; do sleep 1; done # QEMU must be there to say DEVICE_DELETED
            """) with
        {
            Devices = ["-device", "pcie-root-port,id=rp0,slot=1,chassis=1", "-object", "rng-builtin,id=rng0"],
            Qmp = true,
        };
        await using GuestMachine guest = GuestMachine.Start(options);
        await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);
        GuestEvent before = await guest.WaitForAsync("before", Guests.Patience, Cancel);

        await qmp.ExecuteAsync(
            "device_add", new() { ["driver"] = "virtio-rng-pci", ["rng"] = "rng0", ["bus"] = "rp0", ["id"] = "plugged" }, Cancel);
        GuestEvent after = await guest.WaitForAsync("after", Guests.Patience, Cancel);
        await qmp.ExecuteAsync("device_del", new() { ["id"] = "plugged" }, Cancel);

        Assert.Equal(("none", "virtio_rng.0"), (before.Value, after.Value));
        await guest.WaitForAsync("removed", Guests.Patience, Cancel);
        await qmp.WaitForEventAsync("DEVICE_DELETED", Cancel);
    }

    [Fact]
    public async Task A_refused_command_fails_with_the_words_of_QEMU()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.Wait) with { Qmp = true });
        await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);

        QmpException error = await Assert.ThrowsAsync<QmpException>(
            () => qmp.ExecuteAsync("device_del", new() { ["id"] = "nobody" }, Cancel));

        Assert.Contains("Device 'nobody' not found", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task After_quit_every_command_says_that_QEMU_is_gone()
    {
        await using GuestMachine guest = GuestMachine.Start(Guests.WithRng(GuestJobs.Wait) with { Qmp = true });
        await using QmpClient qmp = await guest.ConnectQmpAsync(Cancel);

        await qmp.ExecuteAsync("quit", cancellationToken: Cancel);
        await guest.Ended.WaitAsync(Guests.Patience, Cancel);

        Assert.Equal(0, guest.ExitCode);
        await Assert.ThrowsAsync<QmpException>(() => qmp.ExecuteAsync("query-status", cancellationToken: Cancel));
    }

    [Fact]
    public async Task A_socket_that_nobody_serves_is_an_error_that_names_it()
    {
        QmpException error = await Assert.ThrowsAsync<QmpException>(() => QmpClient.ConnectAsync("/nowhere/qmp", Cancel));

        Assert.Contains("no QMP at /nowhere/qmp", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_QEMU_that_ends_before_it_takes_the_connection_is_gone()
    {
        using TemporaryDirectory directory = new();
        UnixListener monitor = UnixListener.Listen(directory["qmp"]);
        Task<QmpClient> connecting = QmpClient.ConnectAsync(directory["qmp"], Cancel);

        monitor.Dispose(); // the kernel resets who still waits to be accepted

        await Assert.ThrowsAsync<QmpException>(() => connecting);
    }

    [Fact]
    public async Task A_QEMU_that_does_not_listen_yet_is_waited_for()
    {
        using TemporaryDirectory directory = new();
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(directory["qmp"])); // the file is there
        Task<QmpClient> connecting = QmpClient.ConnectAsync(directory["qmp"], Cancel);
        Assert.False(connecting.IsCompleted);

        socket.Listen();
        using Socket taken = await socket.AcceptAsync(Cancel);
        taken.Dispose();

        await Assert.ThrowsAsync<QmpException>(() => connecting); // it came through, and nobody greeted it
    }
}
