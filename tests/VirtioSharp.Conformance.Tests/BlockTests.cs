using VirtioSharp.Conformance.Tests.Support;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Conformance.Tests;

/// <summary>The block driver against an array of ours and QEMU's file.</summary>
public sealed class BlockTests
{
    private static readonly Way Qemus = new(Targets.Qemu, Personality.Pci, false, InterruptKind.VectorPerQueue);

    [Theory]
    [Ways("Block driver", EachRing = true, EachInterrupt = true, Transitional = true)]
    public Task What_is_written_is_on_the_disk_and_what_is_on_the_disk_is_read(Way way) => WriteAndReadAsync(way, new Disk());

    [Theory]
    [InlineData(",queue-size=4,seg-max-adjust=on")]
    [InlineData(",indirect_desc=off,event_idx=off")]
    [InlineData(",logical_block_size=4096,physical_block_size=4096")]
    [Proves("Block driver", "QEMU 7.2 PCI, modern")]
    public Task A_disk_of_QEMU_may_be_set_up_otherwise(string properties) => WriteAndReadAsync(Qemus, new Disk { Properties = properties });

    [Theory]
    [Ways("Block driver", "Several queues", EachRing = true, EachInterrupt = true)]
    public async Task Requests_are_in_flight_in_four_queues_at_once(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Disk(queues: 4));
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());
        DmaBuffer data = rig.Dma.Allocate(256 * 4096);
        new Random(2).NextBytes(data.Span);
        byte[] written = data.Span.ToArray();
        Assert.Equal(4, driver.QueueCount);

        Assert.Equal(256, RunAll(driver, i => BlockRequest.Write((ulong)i * 8, data.Slice(i * 4096, 4096))));
        data.Span.Clear();
        Assert.Equal(256, RunAll(driver, i => BlockRequest.Read((ulong)i * 8, data.Slice(i * 4096, 4096))));

        Assert.True(data.Span.SequenceEqual(written));
    }

    [Theory]
    [Ways("Block driver", EachRing = true)]
    public async Task Zeroes_are_written_and_what_is_discarded_leaves_the_rest_alone(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Disk());
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());
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
        if (rig.Machine is null)
            return;
        var file = await Disk.FileStatisticsAsync(rig);
        Assert.Equal(1, file.GetProperty("discard-nb-ok").GetInt32() + file.GetProperty("discard-nb-failed").GetInt32()); // as the file system has it
    }

    [Theory]
    [Ways("Block driver")]
    public async Task The_id_is_the_serial_number(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Disk());
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());

        Assert.Equal(Disk.Serial, driver.ReadId());
    }

    [Theory]
    [Ways("Block driver", "Configuration space")]
    public async Task The_cache_is_switched_through_configuration_space(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Disk());
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());
        Assert.True(driver.IsWriteback);

        driver.SetWriteback(false);
        Assert.False(driver.IsWriteback);
        driver.SetWriteback(true);

        Assert.True(driver.IsWriteback);
    }

    [Theory]
    [Ways("Block driver", "Configuration change", EachInterrupt = true)]
    public async Task A_new_size_comes_as_a_configuration_interrupt(Way way)
    {
        var disk = new Disk();
        await using Rig rig = await Rig.OpenAsync(way, disk);
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());
        List<ulong> seen = [];
        driver.CapacityChanged += (_, _) => seen.Add(driver.Capacity);

        await disk.ResizeAsync(rig, Disk.Sectors * 2);
        Assert.True(await WaitForAsync(driver.CheckConfiguration));
        driver.Write(Disk.Sectors * 2 - 8, new byte[4096]);
        await disk.ResizeAsync(rig, Disk.Sectors / 2);
        Assert.True(await WaitForAsync(driver.CheckConfiguration));

        Assert.Equal([Disk.Sectors * 2, Disk.Sectors / 2], seen);
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Read(Disk.Sectors / 2, new byte[512]));
    }

    [Theory]
    [Ways("Block driver")]
    public async Task A_sector_that_has_been_cut_off_is_an_IOERR_that_names_it(Way way)
    {
        var disk = new Disk();
        await using Rig rig = await Rig.OpenAsync(way, disk);
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());
        DmaBuffer data = rig.Dma.Allocate(4096);
        await disk.ResizeAsync(rig, Disk.Sectors / 2);

        Assert.True(driver.TrySubmit(BlockRequest.Read(Disk.Sectors - 8, data), out _)); // before the driver has looked at the size
        driver.Kick();
        BlockResult result = default;
        Assert.True(await WaitForAsync(() => driver.TryTake(out result)));

        Assert.Equal((BlockOutcome.IoError, Disk.Sectors - 8ul, 8ul), (result.Outcome, result.Sector, result.Sectors));
        driver.Read(0, new byte[4096]);
    }

    [Theory]
    [Ways("Block driver")]
    public async Task A_read_only_drive_says_so(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Disk(isReadOnly: true));
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());

        driver.Read(0, new byte[4096]);

        Assert.True(driver.Properties.IsReadOnly);
        Assert.Throws<NotSupportedException>(() => driver.Write(0, new byte[512]));
    }

    [Theory]
    [Ways("Block driver", "Driver core", "Freeze and restore", EachRing = true)]
    public async Task A_disk_on_a_bus_sleeps_and_goes_on(Way way)
    {
        await using Rig rig = await Rig.OpenAsync(way, new Disk(queues: 2));
        using var bus = new VirtioBus();
        (BlockDriver driver, BusDevice device) = rig.Bind<BlockDriver>(bus, new VirtioBlock());
        rig.AssertIsAsWanted(device.Session!);
        DmaBuffer data = rig.Dma.Allocate(64 * 512);
        byte[] sectors = new byte[64 * 512], read = new byte[sectors.Length];
        driver.SetWriteback(false);
        for (int nap = 0; nap < 3; nap++)
        {
            new Random(nap).NextBytes(sectors);
            sectors.CopyTo(data.Span);
            for (int i = 0; i < 64; i++)
                Assert.True(driver.TrySubmit(BlockRequest.Write((ulong)i, data.Slice(i * 512, 512)), out _));

            Assert.Empty(bus.Freeze());
            Assert.Empty(bus.Restore());

            for (int i = 0; i < 64; i++)
                Assert.True(driver.TryTake(out BlockResult result) && result.IsDone);
            driver.Read(0, read);
            Assert.Equal(sectors, read);
            Assert.False(driver.IsWriteback);
        }
    }

    [Fact]
    [Proves("Block driver", "QEMU 7.2 PCI, modern")]
    public async Task What_QEMU_says_of_itself_is_understood()
    {
        await using Rig rig = await Rig.OpenAsync(Qemus, new Disk(queues: 2)
        {
            Properties = ",physical_block_size=4096,min_io_size=8192,opt_io_size=65536,discard_granularity=4096",
        });
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());
        BlockProperties properties = driver.Properties;

        Assert.Equal((false, true, true, 512), (properties.IsReadOnly, properties.CanFlush, properties.CanSetWriteback, properties.BlockSize));
        Assert.Equal((3, (ushort)16, 128u), (properties.Topology!.Value.PhysicalBlockExponent, (ushort)properties.Topology.Value.MinIoSize, (uint)properties.Topology.Value.OptimalIoSize));
        Assert.NotNull(properties.Geometry);
        Assert.InRange(properties.MaxSegments, 100, 128);
        Assert.True(properties.MaxDiscardSectors > 0 && properties.MaxWriteZeroesSectors > 0 && properties.ZeroesMayUnmap);
        Assert.Equal(8u, properties.DiscardAlignment);
    }

    private static async Task WriteAndReadAsync(Way way, Disk disk)
    {
        await using Rig rig = await Rig.OpenAsync(way, disk);
        using var driver = rig.Drive<BlockDriver>(new VirtioBlock());

        byte[] model = Scribble.Over(driver, Disk.Sectors, unit: 8, usual: 4, longest: 128);

        Assert.True(model.AsSpan().SequenceEqual(disk.Contents(rig)));
        Assert.Equal((ulong)Disk.Sectors, driver.Capacity);
        Assert.Equal(disk.Properties.Contains("4096", StringComparison.Ordinal) ? 4096 : 512, driver.Properties.BlockSize);
    }

    private static async Task<bool> WaitForAsync(Func<bool> condition)
    {
        for (int i = 0; i < 500; i++)
        {
            if (condition())
                return true;
            await Task.Delay(5, TestContext.Current.CancellationToken);
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
            if (!driver.Wait(Rig.Patience, out BlockResult result))
                break;
            result.ThrowIfFailed();
            Assert.True(numbers.Add(result.Token.Number));
            done++;
        }

        return done;
    }
}
