using VirtioSharp.Core.Driver;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Mmio;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Tests.Qtest;

/// <summary>Our entropy driver against QEMU's own device, register interface by register interface.</summary>
public class EntropyTests
{
    private const string Modern = "QEMU 7.2 PCI, modern";
    private const string Legacy = "QEMU 7.2 PCI, legacy";
    private const string Mmio = "QEMU 7.2 MMIO";

    [Theory]
    [InlineData(QtestMachineType.Q35, "")]
    [InlineData(QtestMachineType.Q35, ",packed=on")]
    [InlineData(QtestMachineType.Q35, ",vectors=0")]
    [InlineData(QtestMachineType.Q35, ",vectors=0,packed=on")]
    [InlineData(QtestMachineType.Q35, ",disable-legacy=on")]
    [InlineData(QtestMachineType.Pc, "")]
    [InlineData(QtestMachineType.Pc, ",vectors=0")]
    [Proves("Entropy driver", Modern)]
    [Proves("Split ring", Modern)]
    [Proves("Packed ring", Modern)]
    public async Task Random_bytes_come_by_the_modern_interface(QtestMachineType type, string options)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, RngPci(options));
        using VirtioPciTransport transport = Open(machine, PciInterface.Modern);

        AssertReads(transport);

        Assert.Equal(options.Contains("vectors=0", StringComparison.Ordinal) ? InterruptKind.Line : InterruptKind.VectorPerQueue, transport.InterruptKind);
    }

    [Theory]
    [InlineData(QtestMachineType.Q35, ",disable-modern=on,disable-legacy=off")]
    [InlineData(QtestMachineType.Q35, ",disable-modern=on,disable-legacy=off,vectors=0")]
    [InlineData(QtestMachineType.Q35, "")]
    [InlineData(QtestMachineType.Pc, ",disable-modern=on,disable-legacy=off,vectors=0")]
    [Proves("Entropy driver", Legacy)]
    [Proves("Split ring", Legacy)]
    [Proves("Legacy ring layout", Legacy)]
    public async Task Random_bytes_come_by_the_legacy_interface(QtestMachineType type, string options)
    {
        await using QtestMachine machine = await Machines.StartAsync(type, RngPci(options));
        using VirtioPciTransport transport = Open(machine, PciInterface.Legacy);

        AssertReads(transport);

        Assert.Equal(options.Contains("vectors=0", StringComparison.Ordinal) ? InterruptKind.Line : InterruptKind.VectorPerQueue, transport.InterruptKind);
    }

    [Theory]
    [InlineData(QtestMachineType.MicroVm, MmioVersion.Current)]
    [InlineData(QtestMachineType.MicroVm, MmioVersion.Legacy)]
    [InlineData(QtestMachineType.ArmVirt, MmioVersion.Current)]
    [InlineData(QtestMachineType.ArmVirt, MmioVersion.Legacy)]
    [Proves("Entropy driver", Mmio)]
    [Proves("Split ring", Mmio)]
    [Proves("Legacy ring layout", Mmio)]
    public async Task Random_bytes_come_by_memory_mapped_registers(QtestMachineType type, MmioVersion version)
    {
        await using QtestMachine machine = await Machines.StartAsync(new QtestOptions
        {
            Machine = type,
            Devices = ["-object", "rng-builtin,id=r0", "-device", "virtio-rng-device,rng=r0"],
            LegacyMmio = version == MmioVersion.Legacy,
        });
        QtestMmioSlot? slot = QtestMmioSlot.Find(machine, DeviceId.Entropy);

        Assert.Equal(QtestMmioSlot.CountOf(machine) - 1, slot?.Number);
        using MmioTransport transport = MmioTransport.Open(slot!.Window, slot.Line, slot.Dma);
        Assert.Equal(version, transport.Version);
        AssertReads(transport);
    }

    [Fact]
    [Proves("Packed ring", Mmio)]
    public async Task Random_bytes_come_by_memory_mapped_registers_and_a_packed_ring()
    {
        await using QtestMachine machine = await Machines.StartAsync(
            QtestMachineType.MicroVm, "-object", "rng-builtin,id=r0", "-device", "virtio-rng-device,rng=r0,packed=on");
        QtestMmioSlot slot = QtestMmioSlot.Find(machine, DeviceId.Entropy)!;

        using MmioTransport transport = MmioTransport.Open(slot.Window, slot.Line, slot.Dma);

        AssertReads(transport);
    }

    private static string[] RngPci(string options) =>
        ["-object", "rng-builtin,id=r0", "-device", "virtio-rng-pci,rng=r0,addr=4" + options];

    private static VirtioPciTransport Open(QtestMachine machine, PciInterface registers)
    {
        PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();
        return PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!, new PciDriverOptions { Interface = registers });
    }

    private static void AssertReads(IDriverTransport transport)
    {
        byte[] bytes = new byte[1024];
        using RngDriver driver = new(transport);

        int read = driver.Read(bytes, Guests.Patience);

        Assert.Equal(bytes.Length, read);
        Assert.All(bytes.Chunk(64), chunk => Assert.Contains(chunk, value => value != 0));
    }
}
