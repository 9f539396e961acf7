using System.Text.Json;
using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>Our block driver against QEMU's virtio-blk-pci, with a file behind it.</summary>
[Proves("Block driver", QemuDevice.Column)]
public sealed class BlockTests
{
    private const int Sectors = 8192;

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    [InlineData(",num-queues=4")]
    [InlineData(",num-queues=4,packed=on")]
    [InlineData(",queue-size=4,seg-max-adjust=on")]
    [InlineData(",indirect_desc=off,event_idx=off")]
    [InlineData(",vectors=0,num-queues=2")]
    [InlineData(",logical_block_size=4096,physical_block_size=4096")]
    public async Task What_is_written_is_in_the_file_and_what_is_in_the_file_is_read(string options)
    {
        await using QemuDevice device = await StartAsync(options);
        using var driver = new BlockDriver(device.Transport);
        var random = new Random(1);
        byte[] model = new byte[Sectors * 512];

        for (int i = 0; i < 30; i++)
        {
            int sectors = random.Next(1, i % 5 == 0 ? 128 : 4) * 8, sector = random.Next(0, (Sectors - sectors) / 8) * 8;
            Span<byte> data = model.AsSpan(sector * 512, sectors * 512);
            random.NextBytes(data);
            driver.Write((ulong)sector, data);
            byte[] read = new byte[data.Length];
            driver.Read((ulong)sector, read);
            Assert.True(data.SequenceEqual(read));
        }

        driver.Flush();
        Assert.True(model.AsSpan().SequenceEqual(File.ReadAllBytes(device.Files["disk"])));
        Assert.Equal((ulong)Sectors, driver.Capacity);
        Assert.Equal(options.Contains("packed", StringComparison.Ordinal), driver.NegotiatedFeatures.Has(Features.RingPacked));
        Assert.Equal(options.Contains("4096", StringComparison.Ordinal) ? 4096 : 512, driver.Properties.BlockSize);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public async Task Requests_are_in_flight_in_four_queues_at_once(string options)
    {
        await using QemuDevice device = await StartAsync(",num-queues=4" + options);
        using var driver = new BlockDriver(device.Transport);
        DmaBuffer data = device.Dma.Allocate(256 * 4096);
        new Random(2).NextBytes(data.Span);
        byte[] written = data.Span.ToArray();
        Assert.Equal(4, driver.QueueCount);

        Assert.Equal(256, RunAll(driver, i => BlockRequest.Write((ulong)i * 8, data.Slice(i * 4096, 4096))));
        data.Span.Clear();
        Assert.Equal(256, RunAll(driver, i => BlockRequest.Read((ulong)i * 8, data.Slice(i * 4096, 4096))));

        Assert.True(data.Span.SequenceEqual(written));
    }

    [Fact]
    public async Task The_id_is_the_serial_number()
    {
        await using QemuDevice device = await StartAsync(",serial=disk-0815");
        using var driver = new BlockDriver(device.Transport);

        Assert.Equal("disk-0815", driver.ReadId());
    }

    [Fact]
    public async Task What_QEMU_says_of_itself_is_understood()
    {
        await using QemuDevice device = await StartAsync(",num-queues=2,physical_block_size=4096,min_io_size=8192,opt_io_size=65536,discard_granularity=4096");
        using var driver = new BlockDriver(device.Transport);
        BlockProperties properties = driver.Properties;

        Assert.Equal((false, true, true, 512), (properties.IsReadOnly, properties.CanFlush, properties.CanSetWriteback, properties.BlockSize));
        Assert.Equal((3, (ushort)16, 128u), (properties.Topology!.Value.PhysicalBlockExponent, (ushort)properties.Topology.Value.MinIoSize, (uint)properties.Topology.Value.OptimalIoSize));
        Assert.NotNull(properties.Geometry);
        Assert.InRange(properties.MaxSegments, 100, 128);
        Assert.True(properties.MaxDiscardSectors > 0 && properties.MaxWriteZeroesSectors > 0 && properties.ZeroesMayUnmap);
        Assert.Equal(8u, properties.DiscardAlignment);
    }

    [Fact]
    public async Task The_cache_is_switched_through_configuration_space()
    {
        await using QemuDevice device = await StartAsync("");
        using var driver = new BlockDriver(device.Transport);
        Assert.True(driver.IsWriteback);

        driver.SetWriteback(false);
        Assert.False(driver.IsWriteback);
        driver.SetWriteback(true);

        Assert.True(driver.IsWriteback);
    }

    [Theory]
    [InlineData("")]
    [InlineData(",packed=on")]
    public async Task Discard_and_zeroes_reach_the_backing_file(string options)
    {
        await using QemuDevice device = await StartAsync(options);
        using var driver = new BlockDriver(device.Transport);
        byte[] data = new byte[1024 * 512];
        data.AsSpan().Fill(0xEE);
        driver.Write(0, data);

        driver.WriteZeroes(16, 100);
        driver.WriteZeroes(256, 256, mayUnmap: true);
        driver.Discard(512, 256);

        byte[] read = new byte[data.Length];
        driver.Read(0, read);
        data.AsSpan(16 * 512, 100 * 512).Clear();
        data.AsSpan(256 * 512, 256 * 512).Clear();
        Assert.True(read.AsSpan(0, 512 * 512).SequenceEqual(data.AsSpan(0, 512 * 512)));
        Assert.True(read.AsSpan(768 * 512).SequenceEqual(data.AsSpan(768 * 512)));
        JsonElement all = await device.ExecuteAsync("query-blockstats", new() { ["query-nodes"] = true });
        JsonElement file = all.EnumerateArray().Select(node => node.TryGetProperty("driver-specific", out JsonElement own) ? own : default)
            .Single(own => own.ValueKind == JsonValueKind.Object);
        Assert.Equal(1, file.GetProperty("discard-nb-ok").GetInt32() + file.GetProperty("discard-nb-failed").GetInt32()); // as the file system has it
    }

    [Fact]
    public async Task A_new_size_comes_as_a_configuration_interrupt()
    {
        await using QemuDevice device = await StartAsync("");
        using var driver = new BlockDriver(device.Transport);
        List<ulong> seen = [];
        driver.CapacityChanged += (_, _) => seen.Add(driver.Capacity);

        await ResizeAsync(device, Sectors * 2);
        Assert.True(await WaitForAsync(driver.CheckConfiguration));
        driver.Write(Sectors * 2 - 8, new byte[4096]);
        await ResizeAsync(device, Sectors / 2);
        Assert.True(await WaitForAsync(driver.CheckConfiguration));

        Assert.Equal([Sectors * 2, Sectors / 2], seen);
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Read(Sectors / 2, new byte[512]));
    }

    [Fact]
    public async Task A_sector_that_has_been_cut_off_is_an_IOERR_that_names_it()
    {
        await using QemuDevice device = await StartAsync("");
        using var driver = new BlockDriver(device.Transport);
        await ResizeAsync(device, Sectors / 2);

        var failure = Assert.Throws<BlockException>(() => driver.Read(Sectors - 8, new byte[4096]));

        Assert.Equal((BlockOutcome.IoError, Sectors - 8ul, 8ul), (failure.Result.Outcome, failure.Result.Sector, failure.Result.Sectors));
        driver.Read(0, new byte[4096]);
    }

    [Fact]
    public async Task A_read_only_drive_says_so()
    {
        await using QemuDevice device = await StartAsync("", ",readonly=on");
        using var driver = new BlockDriver(device.Transport);

        driver.Read(0, new byte[4096]);

        Assert.True(driver.Properties.IsReadOnly);
        Assert.Throws<NotSupportedException>(() => driver.Write(0, new byte[512]));
    }

    private static Task<QemuDevice> StartAsync(string options, string drive = "") => QemuDevice.StartAsync(DeviceId.Block, files =>
    {
        File.WriteAllBytes(files["disk"], new byte[Sectors * 512]);
        return
        [
            "-drive", $"if=none,id=d0,format=raw,discard=unmap,file={files["disk"]}{drive}",
            "-device", $"virtio-blk-pci,id=blk,drive=d0,addr=4{options}",
        ];
    });

    private static Task<JsonElement> ResizeAsync(QemuDevice device, long sectors) =>
        device.ExecuteAsync("block_resize", new() { ["device"] = "d0", ["size"] = sectors * 512 });

    private static async Task<bool> WaitForAsync(Func<bool> condition)
    {
        for (int i = 0; i < 200; i++)
        {
            if (condition())
                return true;
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        return false;
    }

    private static int RunAll(BlockDriver driver, Func<int, BlockRequest> request)
    {
        (int submitted, int done) = (0, 0);
        HashSet<ulong> numbers = [];
        while (done < 256)
        {
            while (submitted < 256 && driver.TrySubmit(request(submitted), out _))
                submitted++;
            if (!driver.Wait(QemuDevice.Patience, out BlockResult result))
                break;
            result.ThrowIfFailed();
            Assert.True(numbers.Add(result.Token.Number));
            done++;
        }

        return done;
    }
}
