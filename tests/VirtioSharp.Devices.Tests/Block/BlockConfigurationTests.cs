using System.Runtime.InteropServices;
using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Drivers.Block;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;
using static VirtioSharp.Devices.Tests.Support.BlockPanel;

namespace VirtioSharp.Devices.Tests.Block;

/// <summary>What a block device says of itself (§5.2.3, §5.2.4), and the one field that a driver may write.</summary>
[Proves("Block device", "in process")]
public sealed class BlockConfigurationTests
{
    private static readonly FeatureSet Always =
        BlockFeatures.SegMax | BlockFeatures.BlockSize | BlockFeatures.Topology | BlockFeatures.Flush | BlockFeatures.ConfigWriteback;

    [Fact]
    public void It_offers_what_its_back_end_can_and_what_its_options_say()
    {
        FeatureSet plain = new BlockDevice(new TestDisk(512, new BlockBackendTraits())).Traits.Features;
        FeatureSet full = new BlockDevice(new TestDisk(512), new BlockDeviceOptions { QueueCount = 3, MaxSegmentBytes = 4096 }).Traits.Features;
        FeatureSet readOnly = new BlockDevice(new TestDisk(512, new BlockBackendTraits { IsReadOnly = true, CanDiscard = true })).Traits.Features;

        Assert.Equal(Always | BlockFeatures.WriteZeroes, plain);
        Assert.Equal(Always | BlockFeatures.WriteZeroes | BlockFeatures.Discard | BlockFeatures.MultiQueue | BlockFeatures.SizeMax, full);
        Assert.Equal(Always | BlockFeatures.ReadOnly, readOnly);
    }

    [Fact]
    public void Configuration_space_has_every_field_in_its_place()
    {
        var device = new BlockDevice(new TestDisk(1 << 20), new BlockDeviceOptions { QueueCount = 3, BlockSize = 1024, MaxSegmentBytes = 65536 });
        using var transport = new LoopbackTransport(device);
        byte[] raw = new byte[BlockConfiguration.Size + 8];

        transport.ReadConfiguration(0, raw);

        var space = MemoryMarshal.Read<BlockConfiguration>(raw);
        Assert.Equal((2048ul, 65536u, 126u, 1024u), ((ulong)space.Capacity, (uint)space.SizeMax, (uint)space.SegMax, (uint)space.BlockSize));
        Assert.Equal((2, 4), (space.Topology.PhysicalBlockExponent, (ushort)space.Topology.MinIoSize));
        Assert.Equal((1, 3, 8u), (space.Writeback, (ushort)space.QueueCount, (uint)space.DiscardSectorAlignment));
        Assert.Equal((1u << 23, 16u, 1u << 17, 16u, 1), ((uint)space.MaxDiscardSectors, (uint)space.MaxDiscardSegments, (uint)space.MaxWriteZeroesSectors, (uint)space.MaxWriteZeroesSegments, space.WriteZeroesMayUnmap));
        Assert.Equal(new byte[8], raw[BlockConfiguration.Size..]);
    }

    [Fact]
    public void Writes_are_stable_while_the_driver_has_switched_writeback_off()
    {
        var disk = new TestDisk(4096);
        using var panel = new BlockPanel(new BlockDevice(disk));

        foreach (byte writeback in (byte[])[1, 0, 1])
        {
            panel.Transport.WriteConfiguration(BlockConfigurationOffset.Writeback, [writeback]);
            panel.Ask([Header(BlockRequestType.Out), new byte[512]], [1]);
            Assert.Equal(writeback, Read(panel));
        }

        Assert.Equal([false, true, false], disk.Operations.Select(operation => operation.Stable));
    }

    [Fact]
    public void The_setting_stays_through_a_reset_for_the_next_driver_to_read()
    {
        var disk = new TestDisk(4096);
        using var panel = new BlockPanel(new BlockDevice(disk));
        panel.Transport.WriteConfiguration(BlockConfigurationOffset.Writeback, [0]);

        panel.Transport.WriteStatus(DeviceStatus.Reset);

        Assert.Equal(0, Read(panel));
    }

    [Fact]
    public void A_device_that_starts_writethrough_says_so_and_is()
    {
        var disk = new TestDisk(4096);
        using var panel = new BlockPanel(new BlockDevice(disk, new BlockDeviceOptions { Writeback = false }));

        panel.Ask([Header(BlockRequestType.Out), new byte[512]], [1]);

        Assert.Equal(0, Read(panel));
        Assert.True(Assert.Single(disk.Operations).Stable);
    }

    [Fact]
    public void A_driver_that_could_not_flush_finds_a_writethrough_cache()
    {
        using var panel = new BlockPanel(new BlockDevice(new TestDisk(4096)), accepted: BlockFeatures.ConfigWriteback);

        Assert.Equal(0, Read(panel)); // §5.2.5.2
    }

    [Theory]
    [InlineData(BlockConfigurationOffset.Writeback, new byte[] { 2 })]
    [InlineData(BlockConfigurationOffset.Capacity, new byte[] { 0, 0, 0, 0, 0, 0, 0, 0 })]
    [InlineData(BlockConfigurationOffset.Writeback + 1, new byte[] { 0 })]
    [InlineData(BlockConfiguration.Size - 1u, new byte[] { 0 })]
    public void Nothing_else_can_be_written(uint offset, byte[] value)
    {
        using var panel = new BlockPanel(new BlockDevice(new TestDisk(4096)));
        byte[] before = new byte[BlockConfiguration.Size], after = new byte[BlockConfiguration.Size];
        panel.Transport.ReadConfiguration(0, before);

        panel.Transport.WriteConfiguration(offset, value);

        panel.Transport.ReadConfiguration(0, after);
        Assert.Equal(before, after);
    }

    [Fact]
    public void A_new_length_is_told_once_and_counts_at_once()
    {
        var disk = new TestDisk(16 * 512);
        var device = new BlockDevice(disk);
        using var panel = new BlockPanel(device);

        device.LookAtLength();
        Assert.Equal(0, panel.Transport.ConfigurationChanges);
        disk.Resize(8 * 512);
        device.LookAtLength();

        Assert.Equal((8ul, 1), (device.Capacity, panel.Transport.ConfigurationChanges));
        Assert.Equal((byte)1, panel.Status([Header(BlockRequestType.In, 8)], 512, 1));
        Assert.Equal((byte)0, panel.Status([Header(BlockRequestType.In, 7)], 512, 1));
    }

    [Fact]
    public void Our_driver_sees_the_new_length()
    {
        var disk = new TestDisk(16 * 512);
        var device = new BlockDevice(disk);
        using var transport = new LoopbackTransport(device);
        using var driver = new BlockDriver(transport);

        disk.Resize(4 * 512);
        device.LookAtLength();
        driver.CheckConfiguration();

        Assert.Equal(4ul, driver.Capacity);
    }

    [Fact]
    public void A_last_piece_that_is_no_whole_block_is_not_shown() =>
        Assert.Equal(8ul, new BlockDevice(new TestDisk(4096 + 1024), new BlockDeviceOptions { BlockSize = 4096 }).Capacity);

    [Theory]
    [InlineData(0, 1, "", 126)]
    [InlineData(256, 1, "", 126)]
    [InlineData(1000, 1, "", 126)]
    [InlineData(512, 0, "", 126)]
    [InlineData(512, 1, "a serial number too long", 126)]
    [InlineData(512, 1, "naïve", 126)]
    [InlineData(512, 1, "", 0)]
    public void Options_without_a_meaning_are_refused(int blockSize, int queues, string serial, int segments) =>
        Assert.Throws<ArgumentException>(() => new BlockDevice(new TestDisk(4096), new BlockDeviceOptions
        {
            BlockSize = blockSize,
            QueueCount = queues,
            Serial = serial,
            MaxSegments = segments,
        }));

    private static byte Read(BlockPanel panel)
    {
        byte[] value = new byte[1];
        panel.Transport.ReadConfiguration(BlockConfigurationOffset.Writeback, value);
        return value[0];
    }
}
