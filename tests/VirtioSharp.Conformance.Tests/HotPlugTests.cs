using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Transports.Pci;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>A PCI function comes while its bus runs, is driven, is pulled out, and comes again. (virtio-mmio windows do not come and go.)</summary>
public sealed class HotPlugTests
{
    private const ushort EjectPort = 0xAE08; // ACPI PCI hotplug of a pc: a bit for each slot of the root bus

    [Theory]
    [Ways("Entropy driver", "Driver core", "Hot plug", Over = Targets.InProcess | Targets.QemuElsewhere, PciOnly = true, EachInterrupt = true, Transitional = true)]
    public async Task A_device_is_plugged_in_driven_and_pulled_out_again_and_again(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Rng(), isPlugged: false);
        using var bus = new VirtioBus();
        bus.Register(rig.Chosen(new VirtioRng()));
        byte[] bytes = new byte[256];
        PciBusEntry[] before = [.. rig.PciBus!.Scan().Added];
        for (int round = 0; round < 3; round++)
        {
            await PlugAsync(rig);
            Assert.Equal([.. before.Select(entry => entry.Address), Rig.Slot], rig.PciBus.Functions.Select(entry => entry.Address).Order(PlaceOrder));
            BusDevice device = bus.Add(rig.Transport);
            var driver = Assert.IsType<RngDriver>(device.Bound);
            rig.AssertIsAsWanted(device.Session!);
            Assert.Equal(bytes.Length, driver.Read(bytes, Rig.Patience));
            Assert.Equal(0, bus.RemoveGone());

            await UnplugAsync(rig);

            Assert.Equal(1, bus.RemoveGone());
            Assert.Equal([Rig.Slot], rig.PciBus.Scan().Removed.Select(entry => entry.Address));
            Assert.ThrowsAny<Exception>(() => driver.Read(bytes, Rig.Patience));
        }
    }

    private static IComparer<PciAddress> PlaceOrder { get; } = Comparer<PciAddress>.Create((one, other) => one.Device.CompareTo(other.Device));

    private static async Task PlugAsync(Rig rig)
    {
        if (rig.Machine is null)
        {
            rig.Plug(new Rng());
            return;
        }

        string[] device = new Rng().Arguments(rig.Way, rig.Files);
        var arguments = new System.Text.Json.Nodes.JsonObject { ["driver"] = "virtio-rng-pci", ["id"] = "plugged" };
        foreach (string property in device[^1].Split(',')[1..])
            arguments[property.Split('=')[0]] = property.Split('=')[1];
        await rig.ExecuteAsync("device_add", arguments);
        rig.Reopen(new Rng());
    }

    private static async Task UnplugAsync(Rig rig)
    {
        if (rig.Machine is not { } machine)
        {
            rig.PciHost!.Unplug(Rig.Slot);
            return;
        }

        CancellationToken cancel = TestContext.Current.CancellationToken;
        await rig.ExecuteAsync("device_del", new() { ["id"] = "plugged" });
        machine.Qtest.Out(EjectPort, 4, 1u << Rig.Slot.Device);
        await machine.Qmp.WaitForEventAsync("DEVICE_DELETED", cancel).WaitAsync(Rig.Patience, cancel);
    }
}
