using VirtioSharp.Core.Memory;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Drivers.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Drivers.Tests;

[Proves("Block driver", "loopback")]
public sealed class BlockDriverTests
{
    private static readonly FeatureSet Everything = new(0x1FFFF & ~(1UL << 8));

    private static readonly BlockConfiguration Limits = new()
    {
        MaxDiscardSectors = 10,
        MaxDiscardSegments = 1,
        DiscardSectorAlignment = 8,
        MaxWriteZeroesSectors = 6,
        MaxWriteZeroesSegments = 1,
        SegMax = 8,
        SizeMax = 4096,
    };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_written_is_read_back_wherever_and_however_long_it_is(bool packed)
    {
        var disk = new MemoryDisk(4096);
        using var transport = new LoopbackTransport(disk, Rings.Options(packed));
        using var driver = new BlockDriver(transport, new BlockDriverOptions { CopyBytes = 64 * 1024 });
        var random = new Random(1);
        byte[] model = new byte[4096 * 512];

        for (int i = 0; i < 200; i++)
        {
            int sectors = random.Next(0, i % 10 == 0 ? 400 : 16);
            int sector = random.Next(0, 4096 - sectors);
            byte[] data = new byte[sectors * 512];
            random.NextBytes(data);
            data.CopyTo(model, sector * 512);
            driver.Write((ulong)sector, data);
            byte[] read = new byte[sectors * 512];
            driver.Read((ulong)sector, read);
            Assert.Equal(data, read);
        }

        Assert.Equal(model, disk.Sectors);
    }

    [Theory]
    [InlineData(1u, 4096u)]
    [InlineData(3u, 512u)]
    [InlineData(7u, 700u)]
    [InlineData(20u, 512u)]
    [InlineData(1000u, 100u)]
    public void Requests_have_no_more_segments_than_seg_max_and_no_longer_ones_than_size_max(uint segMax, uint sizeMax)
    {
        var disk = new MemoryDisk(256, BlockFeatures.SegMax | BlockFeatures.SizeMax, new BlockConfiguration { SegMax = segMax, SizeMax = sizeMax });
        using var transport = new LoopbackTransport(disk, Rings.Options(false));
        using var driver = new BlockDriver(transport);
        byte[] data = Pattern(256);

        driver.Write(0, data);
        byte[] read = new byte[data.Length];
        driver.Read(0, read);

        Assert.Equal(data, read);
        Assert.All(disk.Requests, request => Assert.InRange(request.Segments, 1, (int)Math.Min(segMax, 62)));
        Assert.All(disk.Requests, request => Assert.InRange(request.LongestSegment, 1, (int)sizeMax));
        Assert.Equal(512L, disk.Requests.Sum(request => request.Sectors));
    }

    [Fact]
    public void Fields_of_configuration_space_count_only_if_their_feature_was_negotiated()
    {
        var space = new BlockConfiguration
        {
            SizeMax = 4096,
            SegMax = 5,
            BlockSize = 4096,
            Topology = new BlockTopology { PhysicalBlockExponent = 3, OptimalIoSize = 128 },
            Geometry = new BlockGeometry { Cylinders = 100, Heads = 16, Sectors = 63 },
            Writeback = 1,
            QueueCount = 2,
            MaxDiscardSectors = 1000,
            DiscardSectorAlignment = 8,
            MaxWriteZeroesSectors = 2000,
            WriteZeroesMayUnmap = 1,
        };
        using var with = new LoopbackTransport(new MemoryDisk(8, Everything - BlockFeatures.ReadOnly, space, queues: 2));
        using var without = new LoopbackTransport(new MemoryDisk(8, default, space, queues: 2));
        using var driver = new BlockDriver(with);
        using var plain = new BlockDriver(without);

        BlockProperties all = driver.Properties, none = plain.Properties;
        Assert.Equal((4096, 5, 4096, 20480), (all.MaxSegmentBytes, all.MaxSegments, all.BlockSize, all.MaxRequestBytes));
        Assert.Equal((3, 128u), (all.Topology!.Value.PhysicalBlockExponent, (uint)all.Topology.Value.OptimalIoSize));
        Assert.Equal((100, 16, 63), ((ushort)all.Geometry!.Value.Cylinders, all.Geometry.Value.Heads, all.Geometry.Value.Sectors));
        Assert.Equal((1000u, 8u, 2000u, true), (all.MaxDiscardSectors, all.DiscardAlignment, all.MaxWriteZeroesSectors, all.ZeroesMayUnmap));
        Assert.Equal((2, true, true), (driver.QueueCount, driver.IsWriteback, all.CanFlush));
        Assert.Equal((512, null, null), (none.BlockSize, none.Topology, none.Geometry));
        Assert.Equal((0u, 0u, false), (none.MaxDiscardSectors, none.MaxWriteZeroesSectors, none.ZeroesMayUnmap));
        Assert.Equal((1, false, false), (plain.QueueCount, plain.IsWriteback, none.CanFlush));
        Assert.Equal(8ul, plain.Capacity);
    }

    [Fact]
    public void The_cache_is_switched_through_configuration_space()
    {
        var disk = new MemoryDisk(8, BlockFeatures.Flush | BlockFeatures.ConfigWriteback, new BlockConfiguration { Writeback = 1 });
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        Assert.True(driver.IsWriteback);

        driver.SetWriteback(false);

        Assert.False(driver.IsWriteback);
        Assert.Equal(0, disk.Writeback);
    }

    [Fact]
    public void A_flush_is_sent_with_sector_0_and_only_if_the_device_offers_it()
    {
        var disk = new MemoryDisk(8, BlockFeatures.Flush);
        var simple = new MemoryDisk(8);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        using var simpleTransport = new LoopbackTransport(simple);
        using var simpleDriver = new BlockDriver(simpleTransport);

        driver.Flush();
        simpleDriver.Flush();

        Assert.Equal([new Seen(0, BlockRequestType.Flush, 0, 0, 0, 0, 0)], disk.Requests);
        Assert.Empty(simple.Requests);
        Assert.False(simpleDriver.IsWriteback);
        Assert.Throws<NotSupportedException>(() => simpleDriver.TrySubmit(BlockRequest.Flush(), out _));
    }

    [Fact]
    public void A_discard_is_cut_at_the_devices_limit_and_alignment()
    {
        var disk = new MemoryDisk(100, BlockFeatures.Discard, Limits);
        Pattern(100).CopyTo(disk.Sectors, 0);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);

        driver.Discard(5, 30);

        Assert.Equal([(5ul, 3u), (8, 8), (16, 8), (24, 8), (32, 3)], disk.Requests.Select(request => (request.Sector, request.Sectors)));
        Assert.All(disk.Requests, request => Assert.Equal(0u, request.Flags));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Zeroes_are_written_in_pieces_that_may_unmap_or_not(bool mayUnmap)
    {
        var disk = new MemoryDisk(100, BlockFeatures.WriteZeroes, Limits);
        byte[] before = Pattern(100);
        before.CopyTo(disk.Sectors, 0);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);

        driver.WriteZeroes(10, 14, mayUnmap);

        byte[] after = new byte[100 * 512];
        driver.Read(0, after);
        Assert.Equal([.. before[..5120], .. new byte[14 * 512], .. before[(24 * 512)..]], after);
        Assert.Equal([(10ul, 6u), (16, 6), (22, 2)], disk.Requests.Where(request => request.Type == BlockRequestType.WriteZeroes).Select(request => (request.Sector, request.Sectors)));
        Assert.All(disk.Requests.Take(3), request => Assert.Equal(mayUnmap ? 1u : 0, request.Flags));
    }

    [Theory]
    [InlineData("")]
    [InlineData("disk-1")]
    [InlineData("twenty-characters-it")]
    public void The_id_is_up_to_twenty_characters_with_or_without_NUL(string id)
    {
        using var transport = new LoopbackTransport(new MemoryDisk(8) { Id = id });
        using var driver = new BlockDriver(transport);

        Assert.Equal(id, driver.ReadId());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Requests_in_flight_are_completed_in_any_order(bool packed)
    {
        var disk = new MemoryDisk(64) { Holds = true };
        Pattern(64).CopyTo(disk.Sectors, 0);
        using var transport = new LoopbackTransport(disk, Rings.Options(packed));
        using var driver = new BlockDriver(transport);
        DmaBuffer data = transport.Dma.Allocate(64 * 512);
        var tokens = new BlockToken[64];
        for (int i = 0; i < 64; i++)
            Assert.True(driver.TrySubmit(BlockRequest.Read((ulong)i, data.Slice(i * 512, 512)), out tokens[i]));
        Assert.False(driver.TrySubmit(BlockRequest.Read(0, data.Slice(0, 512)), out _));
        driver.Kick();
        Assert.Equal(64, disk.Held.Count);
        Assert.False(driver.TryTake(out _));

        int[] order = [.. Enumerable.Range(0, 64)];
        new Random(2).Shuffle(order);
        foreach (int i in order)
            disk.Complete(i);

        foreach (int i in order)
        {
            Assert.True(driver.Wait(TimeSpan.FromSeconds(1), out BlockResult result));
            Assert.Equal(new BlockResult(tokens[i], BlockRequestType.In, (ulong)i, 1, BlockOutcome.Done, BlockStatus.Ok), result);
        }

        Assert.Equal(disk.Sectors, data.Span.ToArray());
        Assert.Equal(64, tokens.Select(token => token.Slot).Distinct().Count());
    }

    [Fact]
    public void Each_queue_is_used_in_turn_unless_the_caller_chooses()
    {
        var disk = new MemoryDisk(64, BlockFeatures.MultiQueue, new BlockConfiguration { QueueCount = 3 }, queues: 3);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport, new BlockDriverOptions { MaxQueues = 8 });
        DmaBuffer data = transport.Dma.Allocate(512);

        for (int i = 0; i < 6; i++)
            Assert.True(driver.TrySubmit(BlockRequest.Read((ulong)i, data), out _));
        Assert.True(driver.TrySubmit(BlockRequest.Read(6, data), out _, queue: 2));
        driver.Kick();

        Assert.Equal(3, driver.QueueCount);
        Assert.Equal([0, 0, 1, 1, 2, 2, 2], disk.Requests.Select(request => request.Queue).Order());
        Assert.Equal([2, 5, 6], disk.Requests.Where(request => request.Queue == 2).Select(request => (int)request.Sector));
        Assert.Equal(7, Taken(driver));
    }

    [Fact]
    public void More_queues_than_wanted_are_left_alone()
    {
        using var transport = new LoopbackTransport(new MemoryDisk(64, BlockFeatures.MultiQueue, new BlockConfiguration { QueueCount = 3 }, queues: 3));
        using var driver = new BlockDriver(transport, new BlockDriverOptions { MaxQueues = 2 });

        Assert.Equal(2, driver.QueueCount);
        Assert.False(transport.Host.IsEnabled(2));
    }

    [Fact]
    public void A_call_that_waits_leaves_the_results_of_others_to_them()
    {
        var disk = new MemoryDisk(64);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        DmaBuffer data = transport.Dma.Allocate(512);
        Assert.True(driver.TrySubmit(BlockRequest.Read(1, data), out BlockToken first));
        Assert.True(driver.TrySubmit(BlockRequest.Read(2, data), out BlockToken second));

        driver.Write(0, new byte[4096]);

        Assert.True(driver.TryTake(out BlockResult result));
        Assert.Equal(first, result.Token);
        Assert.True(driver.TryTake(out result));
        Assert.Equal(second, result.Token);
        Assert.False(driver.TryTake(out _));
    }

    [Fact]
    public void A_new_capacity_is_an_event_and_holds_from_then_on()
    {
        var disk = new MemoryDisk(64);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        List<ulong> seen = [];
        driver.CapacityChanged += (_, _) => seen.Add(driver.Capacity);
        Assert.False(driver.CheckConfiguration());

        disk.Resize(32);
        Assert.True(driver.CheckConfiguration());
        disk.Resize(32);
        Assert.True(driver.CheckConfiguration());
        disk.Resize(64);
        Assert.True(driver.CheckConfiguration());

        Assert.Equal([32, 64], seen);
    }

    [Fact]
    public void What_ends_beyond_the_device_is_refused_before_it_is_sent()
    {
        var disk = new MemoryDisk(64, BlockFeatures.Discard, Limits);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        byte[] two = new byte[1024];
        DmaBuffer data = transport.Dma.Allocate(1024);

        driver.Read(62, two);
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Read(63, two));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Write(64, two));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Write(ulong.MaxValue, two));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Discard(60, ulong.MaxValue));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Read(0, new byte[100]));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.TrySubmit(BlockRequest.Read(63, data), out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.TrySubmit(BlockRequest.Read(0, data.Slice(0, 100)), out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.TrySubmit(BlockRequest.Read(0, data.Slice(0, 0)), out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.TrySubmit(BlockRequest.GetId(data), out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.TrySubmit(BlockRequest.Discard(0, 11), out _));

        Assert.Single(disk.Requests);
    }

    [Fact]
    public void A_read_only_device_is_not_written_to()
    {
        var disk = new MemoryDisk(64, Everything, Limits);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);

        driver.Read(0, new byte[512]);
        Assert.Throws<NotSupportedException>(() => driver.Write(0, new byte[512]));
        Assert.Throws<NotSupportedException>(() => driver.Discard(0, 1));
        Assert.Throws<NotSupportedException>(() => driver.WriteZeroes(0, 1));

        Assert.True(driver.Properties.IsReadOnly);
        Assert.Single(disk.Requests);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(64)]
    public void A_small_queue_without_indirect_descriptors_does_it_too(int size)
    {
        var disk = new MemoryDisk(256, queueSize: size);
        using var transport = new LoopbackTransport(disk, new() { RingFeatures = Features.Version1 | Features.RingPacked });
        using var driver = new BlockDriver(transport);
        byte[] data = Pattern(256);

        driver.Write(0, data);
        byte[] read = new byte[data.Length];
        driver.Read(0, read);

        Assert.Equal(data, read);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Proves("No allocation per request", "loopback")]
    public void Ten_thousand_requests_allocate_nothing(bool packed)
    {
        var disk = new MemoryDisk(4096) { Records = false };
        using var transport = new LoopbackTransport(disk, Rings.Options(packed));
        using var driver = new BlockDriver(transport);
        DmaBuffer data = transport.Dma.Allocate(4096);
        byte[] block = new byte[4096];
        Run(driver, data, block, 200);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(driver, data, block, 2500);

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    private static void Run(BlockDriver driver, DmaBuffer data, byte[] block, int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            driver.TrySubmit(BlockRequest.Write((ulong)i % 4000, data), out _);
            driver.TrySubmit(BlockRequest.Read((ulong)i % 4000, data), out _);
            driver.Kick();
            driver.Read((ulong)i % 4000, block);
            driver.Write((ulong)i % 4000, block);
            while (driver.TryTake(out _))
            {
            }
        }
    }

    private static int Taken(BlockDriver driver)
    {
        int taken = 0;
        while (driver.TryTake(out BlockResult result))
        {
            Assert.True(result.IsDone);
            taken++;
        }

        return taken;
    }

    private static byte[] Pattern(int sectors)
    {
        byte[] bytes = new byte[sectors * 512];
        new Random(3).NextBytes(bytes);
        return bytes;
    }
}
