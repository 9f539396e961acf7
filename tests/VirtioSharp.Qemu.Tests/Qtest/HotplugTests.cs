using VirtioSharp.Core.Errors;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Tests.Qtest;

public class HotplugTests
{
    private const ushort EjectPort = 0xAE08; // ACPI PCI hotplug: a bit for each slot of the root bus

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    [Proves("Entropy driver", "QEMU 7.2 PCI, modern")]
    public async Task A_device_is_plugged_in_used_and_pulled_out()
    {
        await using QtestMachine machine = await Machines.StartAsync(QtestMachineType.Pc, "-object", "rng-builtin,id=r0");
        using PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();

        await machine.ExecuteAsync("device_add", new() { ["driver"] = "virtio-rng-pci", ["rng"] = "r0", ["id"] = "plugged", ["addr"] = "6" }, Cancel);
        PciBusEntry added = Assert.Single(bus.Scan().Added);
        byte[] bytes = new byte[256];
        using VirtioPciTransport transport = PciDrivers.Open(bus.Open(added.Address));
        using RngDriver driver = new(transport);
        int read = driver.Read(bytes, Guests.Patience);

        await machine.ExecuteAsync("device_del", new() { ["id"] = "plugged" }, Cancel);
        machine.Qtest.Out(EjectPort, 4, 1u << added.Address.Device);
        await machine.Qmp.WaitForEventAsync("DEVICE_DELETED", Cancel).WaitAsync(Guests.Patience, Cancel);

        Assert.Equal((new PciAddress(0, 6), bytes.Length), (added.Address, read));
        Assert.Equal(added, Assert.Single(bus.Scan().Removed));
        Assert.Throws<TransportException>(() => RngDriver(transport));
    }

    [Fact]
    public async Task A_stopped_machine_serves_no_requests_until_it_continues()
    {
        await using QtestMachine machine = await Machines.StartAsync(
            QtestMachineType.Q35, "-object", "rng-builtin,id=r0", "-device", "virtio-rng-pci,rng=r0,addr=4");
        using PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        byte[] bytes = new byte[256];
        await machine.ExecuteAsync("stop", cancellationToken: Cancel);
        using RngDriver driver = new(transport);

        int stopped = driver.Read(bytes, TimeSpan.FromMilliseconds(50));
        await machine.ExecuteAsync("cont", cancellationToken: Cancel);
        int running = driver.Read(bytes, Guests.Patience);

        Assert.Equal((0, bytes.Length), (stopped, running));
    }

    private static void RngDriver(VirtioPciTransport transport)
    {
        using RngDriver driver = new(transport);
    }
}
