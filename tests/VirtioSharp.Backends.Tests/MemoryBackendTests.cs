using VirtioSharp.Backends.Block;
using VirtioSharp.Devices.Block;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Transports.Loopback;

namespace VirtioSharp.Backends.Tests;

/// <summary>Back-ends without a file: a RAM disk, and one that keeps nothing.</summary>
public sealed class MemoryBackendTests
{
    [Fact]
    [Proves("Block device", "loopback")]
    public void A_RAM_disk_has_what_was_written()
    {
        byte[] bytes = new byte[64 * 512], data = new byte[5 * 512];
        new Random(1).NextBytes(data);
        using var transport = new LoopbackTransport(new BlockDevice(new MemoryBackend(bytes)));
        using var driver = new BlockDriver(transport);

        driver.Write(10, data);
        driver.WriteZeroes(12, 1);
        driver.Discard(13, 1);
        driver.Flush();
        byte[] read = new byte[data.Length];
        driver.Read(10, read);

        data.AsSpan(2 * 512, 2 * 512).Clear();
        Assert.Equal(data, read);
        Assert.Equal(data, bytes[(10 * 512)..(15 * 512)]);
    }

    [Fact]
    public void Nothing_reads_zero_whatever_was_written()
    {
        using var transport = new LoopbackTransport(new BlockDevice(new NullBackend(1UL << 40)));
        using var driver = new BlockDriver(transport);
        byte[] bytes = [.. Enumerable.Repeat((byte)7, 4096)];

        driver.Write(driver.Capacity - 8, bytes);
        driver.WriteZeroes(0, 1);
        driver.Flush();
        driver.Read(driver.Capacity - 8, bytes);

        Assert.Equal((1UL << 40) / 512, driver.Capacity);
        Assert.Equal(new byte[4096], bytes);
    }
}
