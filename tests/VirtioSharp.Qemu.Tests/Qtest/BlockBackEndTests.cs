using VirtioSharp.Drivers.Block;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Mmio;
using VirtioSharp.Transports.Pci;

namespace VirtioSharp.Qemu.Tests.Qtest;

/// <summary>Our block driver, QEMU's registers, our daemon and a real file: both ends are ours and everything between is QEMU.</summary>
public sealed class BlockBackEndTests : IDisposable
{
    private const int DiskBytes = 1 << 20;

    private readonly TemporaryDirectory _directory = new();
    private readonly byte[] _disk = new byte[DiskBytes];

    public BlockBackEndTests()
    {
        new Random(7).NextBytes(_disk);
        File.WriteAllBytes(_directory["disk"], _disk);
    }

    private string[] BackEnd => ["-chardev", $"socket,id=c0,path={_directory["sock"]}"];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData(",vectors=0")]
    [InlineData(",packed=on")]
    [InlineData(",num-queues=2")]
    [InlineData(",num-queues=2,packed=on")]
    [Proves("Block device", "QEMU 7.2 PCI, modern")]
    [Proves("Block driver", "QEMU 7.2 PCI, modern")]
    public async Task What_the_driver_writes_is_in_the_file_and_what_is_in_the_file_it_reads(string options)
    {
        await using VioProcess vio = await ServeAsync();
        await using QtestMachine machine = await Machines.StartAsync(
            QtestMachineType.Q35, [.. BackEnd, "-device", "vhost-user-blk-pci,chardev=c0,addr=4" + options]);
        using PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Block)!);
        using BlockDriver driver = new(transport);

        Assert.Equal(options.Contains("num-queues=2", StringComparison.Ordinal) ? 2 : 1, driver.QueueCount);
        ReadsAndWrites(driver);
    }

    [Theory]
    [InlineData(QtestMachineType.MicroVm)]
    [InlineData(QtestMachineType.ArmVirt)]
    [Proves("Block device", "QEMU 7.2 MMIO")]
    [Proves("Block driver", "QEMU 7.2 MMIO")]
    public async Task The_same_by_way_of_QEMUs_MMIO(QtestMachineType type)
    {
        await using VioProcess vio = await ServeAsync();
        await using QtestMachine machine = await Machines.StartAsync(type, [.. BackEnd, "-device", "vhost-user-blk,chardev=c0"]);
        QtestMmioSlot slot = QtestMmioSlot.Find(machine, DeviceId.Block)!;
        using MmioTransport transport = MmioTransport.Open(slot.Window, slot.Line, slot.Dma);
        using BlockDriver driver = new(transport);

        ReadsAndWrites(driver);
    }

    [Theory]
    [InlineData("writeback")]
    [InlineData("writethrough")]
    [InlineData("none")]
    [Proves("Block device", "QEMU 7.2 PCI, modern")]
    public async Task The_same_with_requests_that_wait_together(string cache)
    {
        await using VioProcess vio = await ServeAsync("--aio", "io_uring", "--cache", cache);
        await using QtestMachine machine = await Machines.StartAsync(
            QtestMachineType.Q35, [.. BackEnd, "-device", "vhost-user-blk-pci,chardev=c0,addr=4,num-queues=2"]);
        using PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Block)!);
        using BlockDriver driver = new(transport);

        ReadsAndWrites(driver);
    }

    [Fact]
    [Proves("Block device", "QEMU 7.2 PCI, modern")]
    public async Task The_cache_is_switched_through_QEMU_and_a_read_only_disk_is_one()
    {
        await using VioProcess vio = await ServeAsync("--read-only", "--cache", "writethrough");
        await using QtestMachine machine = await Machines.StartAsync(
            QtestMachineType.Q35, [.. BackEnd, "-device", "vhost-user-blk-pci,chardev=c0,addr=4"]);
        using PciBus bus = new(new QtestPciHost(machine));
        bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Block)!);
        using BlockDriver driver = new(transport);

        bool before = driver.IsWriteback;
        driver.SetWriteback(true);

        Assert.Equal((false, true, true), (before, driver.IsWriteback, driver.Properties.IsReadOnly));
        Assert.Throws<NotSupportedException>(() => driver.Write(0, new byte[512]));
    }

    private static byte[] Pattern(int bytes, int seed)
    {
        byte[] pattern = new byte[bytes];
        new Random(seed).NextBytes(pattern);
        return pattern;
    }

    private Task<VioProcess> ServeAsync(params string[] options) =>
        VioProcess.ServeAsync("blk", _directory["sock"], ["--blk-file", _directory["disk"], "--serial", "vio-test", .. options]);

    private void ReadsAndWrites(BlockDriver driver)
    {
        byte[] read = new byte[DiskBytes];
        byte[] written = Pattern(300 * 512, 1);

        driver.Read(0, read);
        driver.Write(100, written);
        driver.Flush();

        Assert.Equal((ulong)DiskBytes / 512, driver.Capacity);
        Assert.Equal("vio-test", driver.ReadId());
        Assert.Equal(_disk, read);
        written.CopyTo(_disk, 100 * 512);
        Assert.Equal(_disk, File.ReadAllBytes(_directory["disk"]));
    }
}
