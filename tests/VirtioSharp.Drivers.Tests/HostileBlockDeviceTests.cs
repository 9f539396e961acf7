using VirtioSharp.Core.Device;
using VirtioSharp.Core.Errors;
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
[Proves("Hostile device", "loopback")]
public sealed class HostileBlockDeviceTests
{
    [Theory]
    [InlineData(1, BlockOutcome.IoError)]
    [InlineData(2, BlockOutcome.Unsupported)]
    [InlineData(3, BlockOutcome.UnknownStatus)]
    [InlineData(0xFE, BlockOutcome.UnknownStatus)]
    [InlineData(0xFF, BlockOutcome.NoStatus)]
    public void A_status_that_is_not_OK_is_a_result_that_names_the_request(byte status, BlockOutcome outcome)
    {
        var disk = new MemoryDisk(64) { Refusal = type => type == BlockRequestType.Out ? status : null };
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        DmaBuffer data = transport.Dma.Allocate(1024);
        Assert.True(driver.TrySubmit(BlockRequest.Write(7, data), out BlockToken token));

        Assert.True(driver.Wait(TimeSpan.Zero, out BlockResult result));
        var failure = Assert.Throws<BlockException>(() => driver.Write(9, new byte[512]));

        Assert.Equal(new BlockResult(token, BlockRequestType.Out, 7, 2, outcome, (BlockStatus)status), result);
        Assert.Equal((BlockRequestType.Out, 9ul, 1ul, outcome), (failure.Result.Type, failure.Result.Sector, failure.Result.Sectors, failure.Result.Outcome));
        Assert.Equal($"the request failed: Out, 1 sectors at 9: {outcome} (status {status})", failure.Message);
        driver.Read(0, new byte[512]);
    }

    [Fact]
    public void A_status_that_was_never_written_is_an_error()
    {
        using var transport = new LoopbackTransport(new MemoryDisk(64) { ForgetsStatus = true });
        using var driver = new BlockDriver(transport);

        var failure = Assert.Throws<BlockException>(() => driver.Read(0, new byte[512]));

        Assert.Equal(BlockOutcome.NoStatus, failure.Result.Outcome);
    }

    [Theory]
    [InlineData(0u, BlockOutcome.TooShort)]
    [InlineData(1u, BlockOutcome.TooShort)]
    [InlineData(511u, BlockOutcome.TooShort)]
    [InlineData(512u, BlockOutcome.Done)]
    [InlineData(513u, BlockOutcome.Done)]
    [InlineData(514u, BlockOutcome.Done)]
    [InlineData(uint.MaxValue, BlockOutcome.Done)]
    public void Data_that_the_device_does_not_say_it_wrote_is_not_believed(uint length, BlockOutcome outcome)
    {
        var disk = new MemoryDisk(64) { Length = _ => length };
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        Assert.True(driver.TrySubmit(BlockRequest.Read(0, transport.Dma.Allocate(512)), out _));
        Assert.True(driver.Wait(TimeSpan.Zero, out BlockResult read));
        Assert.True(driver.TrySubmit(BlockRequest.Write(0, transport.Dma.Allocate(512)), out _));
        Assert.True(driver.Wait(TimeSpan.Zero, out BlockResult written));

        Assert.Equal(outcome, read.Outcome);
        Assert.Equal(BlockOutcome.Done, written.Outcome);
    }

    [Fact]
    public void A_failure_in_the_middle_of_a_call_fails_the_call_and_no_other()
    {
        int writes = 0;
        var disk = new MemoryDisk(64, BlockFeatures.SizeMax | BlockFeatures.SegMax, new BlockConfiguration { SizeMax = 512, SegMax = 1 })
        {
            Refusal = type => type == BlockRequestType.Out && ++writes == 3 ? (byte)1 : null,
        };
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);

        var failure = Assert.Throws<BlockException>(() => driver.Write(10, new byte[5 * 512]));
        driver.Write(10, new byte[5 * 512]);

        Assert.Equal((12ul, 1ul), (failure.Result.Sector, failure.Result.Sectors));
        Assert.Equal(4 + 5, disk.Requests.Count);
    }

    [Fact]
    public void A_capacity_that_shrinks_while_a_request_is_under_way_fails_it_and_refuses_the_next()
    {
        var disk = new MemoryDisk(64) { Holds = true };
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        DmaBuffer data = transport.Dma.Allocate(512);
        Assert.True(driver.TrySubmit(BlockRequest.Read(50, data), out _));
        driver.Kick();

        disk.Resize(10);
        disk.Complete(0);

        Assert.True(driver.Wait(TimeSpan.FromSeconds(1), out BlockResult result));
        Assert.Equal(BlockOutcome.IoError, result.Outcome);
        Assert.Equal(10ul, driver.Capacity);
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.TrySubmit(BlockRequest.Read(50, data), out _));
    }

    [Fact]
    public void A_capacity_that_shrinks_without_a_word_is_an_IOERR()
    {
        var disk = new MemoryDisk(64);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);

        disk.Resize(10, notify: false);

        Assert.Equal(BlockOutcome.IoError, Assert.Throws<BlockException>(() => driver.Read(50, new byte[512])).Result.Outcome);
    }

    [Fact]
    public void A_device_that_does_not_answer_costs_its_call_the_timeout_and_later_answers_hurt_nobody()
    {
        var disk = new MemoryDisk(64) { Holds = true };
        disk.Sectors.AsSpan().Fill(0xEE);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);
        byte[] read = new byte[512];

        Assert.Throws<TimeoutException>(() => driver.Read(0, read));
        Assert.Throws<TimeoutException>(() => driver.Write(0, read)); // the first still has the memory to copy through
        Assert.Single(disk.Held);
        Assert.All(read, value => Assert.Equal(0, value));
        disk.Holds = false;
        disk.Complete(0);
        driver.Read(0, read);

        Assert.All(read, value => Assert.Equal(0xEE, value));
    }

    [Fact]
    public void A_device_that_breaks_while_a_call_waits_is_said_to_need_a_reset()
    {
        var disk = new MemoryDisk(64) { Refusal = _ => throw new DeviceException("out of order") };
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);

        Assert.Throws<DeviceException>(() => driver.Read(0, new byte[512]));
    }

    [Theory]
    [InlineData(511u, 0u, "size_max = 511, seg_max = 0 and a queue of 64 leave no room for a sector")]
    [InlineData(1u, 511u, "size_max = 1, seg_max = 511 and a queue of 64 leave no room for a sector")]
    [InlineData(511u, 1u, "size_max = 511, seg_max = 1 and a queue of 64 leave no room for a sector")]
    public void Limits_that_allow_no_request_are_refused(uint sizeMax, uint segMax, string why)
    {
        var space = new BlockConfiguration { SizeMax = sizeMax, SegMax = segMax };
        using var transport = new LoopbackTransport(new MemoryDisk(64, BlockFeatures.SizeMax | BlockFeatures.SegMax, space));

        Assert.Equal(why, Assert.Throws<TransportException>(() => new BlockDriver(transport)).Message);
    }

    [Fact]
    public void A_size_max_of_0_is_no_limit()
    {
        var space = new BlockConfiguration { SizeMax = 0, SegMax = 0 };
        using var transport = new LoopbackTransport(new MemoryDisk(64, BlockFeatures.SizeMax | BlockFeatures.SegMax, space));
        using var driver = new BlockDriver(transport);

        driver.Read(0, new byte[64 * 512]);

        Assert.Equal(1, driver.Properties.MaxSegments);
    }

    [Fact]
    public void Limits_of_every_bit_are_just_large()
    {
        var space = new BlockConfiguration
        {
            SizeMax = uint.MaxValue,
            SegMax = uint.MaxValue,
            BlockSize = uint.MaxValue,
            QueueCount = ushort.MaxValue,
            MaxDiscardSectors = uint.MaxValue,
            DiscardSectorAlignment = uint.MaxValue,
            MaxWriteZeroesSectors = uint.MaxValue,
        };
        var features = new FeatureSet(0x1FFFF & ~(1UL << 5));
        var disk = new MemoryDisk(64, features, space, queues: 4);
        disk.Resize(ulong.MaxValue, notify: false);
        using var transport = new LoopbackTransport(disk);
        using var driver = new BlockDriver(transport);

        driver.Read(0, new byte[64 * 512]);
        driver.Discard(0, 64);

        Assert.Equal(512, driver.Properties.BlockSize);
        Assert.Equal(ulong.MaxValue, driver.Capacity);
        Assert.Throws<BlockException>(() => driver.Read(ulong.MaxValue / 512, new byte[512]));
        Assert.Throws<ArgumentOutOfRangeException>(() => driver.Read(ulong.MaxValue, new byte[512]));
    }

    [Fact]
    public void A_device_that_counts_no_queues_has_one()
    {
        using var transport = new LoopbackTransport(new MemoryDisk(64, BlockFeatures.MultiQueue));
        using var driver = new BlockDriver(transport);

        Assert.Equal(1, driver.QueueCount);
    }

    [Fact]
    public void A_device_with_fewer_queues_than_it_says_is_refused()
    {
        using var transport = new LoopbackTransport(new MemoryDisk(64, BlockFeatures.MultiQueue, new BlockConfiguration { QueueCount = 3 }));

        Assert.Throws<QueueException>(() => new BlockDriver(transport));
        Assert.Equal(DeviceStatus.Failed, transport.ReadStatus() & DeviceStatus.Failed);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_queue_too_small_for_any_request_is_refused(int size)
    {
        using var transport = new LoopbackTransport(new MemoryDisk(64, queueSize: size));

        Assert.Throws<TransportException>(() => new BlockDriver(transport));
    }

    [Fact]
    public void With_IN_ORDER_a_batch_is_believed_to_the_full()
    {
        var options = new DeviceHostOptions { RingFeatures = DeviceHostOptions.AllRingFeatures };
        var disk = new MemoryDisk(64);
        using var transport = new LoopbackTransport(disk, options);
        using var driver = new BlockDriver(transport);

        driver.Write(0, new byte[64 * 512]);
        driver.Read(0, new byte[64 * 512]);

        Assert.True(driver.NegotiatedFeatures.Has(Features.InOrder));
    }
}
