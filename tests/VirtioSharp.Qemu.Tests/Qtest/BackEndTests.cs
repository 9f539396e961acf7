using VirtioSharp.Core.Driver;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Mmio;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Tests.Qtest;

/// <summary>Our driver, QEMU's registers, our daemon: both ends of the ring are ours and everything between is QEMU.</summary>
public sealed class BackEndTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    private string[] BackEnd => ["-chardev", $"socket,id=c0,path={_directory["sock"]}"];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData(",vectors=0")]
    [InlineData(",packed=on")]
    [InlineData(",packed=on,vectors=0")]
    [Proves("Entropy device", "QEMU 7.2 PCI, modern")]
    [Proves("Entropy driver", "QEMU 7.2 PCI, modern")]
    [Proves("Split ring", "QEMU 7.2 PCI, modern")]
    [Proves("Packed ring", "QEMU 7.2 PCI, modern")]
    public async Task The_daemons_bytes_arrive_in_order_by_way_of_QEMUs_PCI(string options)
    {
        byte[] source = NewSource();
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"], "--rng-source", _directory["source"]);
        await using QtestMachine machine = await Machines.StartAsync(
            QtestMachineType.Q35, [.. BackEnd, "-device", "vhost-user-rng-pci,chardev=c0,addr=4" + options]);
        using PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);

        byte[] bytes = Read(transport);

        Assert.Equal(source[..bytes.Length], bytes);
    }

    [Theory]
    [InlineData(QtestMachineType.MicroVm)]
    [InlineData(QtestMachineType.ArmVirt)]
    [Proves("Entropy device", "QEMU 7.2 MMIO")]
    [Proves("Entropy driver", "QEMU 7.2 MMIO")]
    public async Task The_daemons_bytes_arrive_in_order_by_way_of_QEMUs_MMIO(QtestMachineType type)
    {
        byte[] source = NewSource();
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"], "--rng-source", _directory["source"]);
        await using QtestMachine machine = await Machines.StartAsync(type, [.. BackEnd, "-device", "vhost-user-rng,chardev=c0"]);
        QtestMmioSlot slot = QtestMmioSlot.Find(machine, DeviceId.Entropy)!;
        using MmioTransport transport = MmioTransport.Open(slot.Window, slot.Line, slot.Dma);

        byte[] bytes = Read(transport);

        Assert.Equal(source[..bytes.Length], bytes);
    }

    [Fact]
    [Proves("Entropy device", "QEMU 7.2 PCI, modern")]
    public async Task Two_machines_one_after_the_other_are_served_by_one_daemon()
    {
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"]);
        for (int round = 0; round < 2; round++)
        {
            await using QtestMachine machine = await Machines.StartAsync(
                QtestMachineType.Q35, [.. BackEnd, "-device", "vhost-user-rng-pci,chardev=c0,addr=4"]);
            using PciBus bus = new(new QtestPciHost(machine));
            bus.Scan();
            using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);

            Assert.Contains(Read(transport), value => value != 0);
        }

        Assert.False(vio.HasExited);
    }

    private byte[] NewSource()
    {
        byte[] source = new byte[64 * 1024];
        new Random(source.Length).NextBytes(source);
        File.WriteAllBytes(_directory["source"], source);
        return source;
    }

    // What the driver took as a seed came first.
    private static byte[] Read(IDriverTransport transport)
    {
        byte[] bytes = new byte[1024];
        using RngDriver driver = new(transport);
        Assert.Equal(bytes.Length, driver.Read(bytes, Guests.Patience));
        return [.. driver.EarlyRandomness.Span, .. bytes];
    }
}
