using VirtioSharp.Drivers.Block;
using VirtioSharp.Qemu.Qtest;
using VirtioSharp.Spec;
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
