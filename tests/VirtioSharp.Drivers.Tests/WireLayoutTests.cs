using System.Runtime.InteropServices;
using VirtioSharp.Spec.Balloon;
using VirtioSharp.Spec.Block;
using VirtioSharp.Spec.Console;
using Xunit;

namespace VirtioSharp.Drivers.Tests;

public sealed class WireLayoutTests
{
    [Fact]
    public void Block_configuration_has_its_fields_where_the_specification_has_them()
    {
        AssertPlace(BlockConfigurationOffset.Capacity, 8, new BlockConfiguration { Capacity = ulong.MaxValue });
        AssertPlace(BlockConfigurationOffset.SizeMax, 4, new BlockConfiguration { SizeMax = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.SegMax, 4, new BlockConfiguration { SegMax = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.Geometry, 2, new BlockConfiguration { Geometry = new() { Cylinders = ushort.MaxValue } });
        AssertPlace(BlockConfigurationOffset.Geometry + 3, 1, new BlockConfiguration { Geometry = new() { Sectors = 0xFF } });
        AssertPlace(BlockConfigurationOffset.BlockSize, 4, new BlockConfiguration { BlockSize = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.Topology, 1, new BlockConfiguration { Topology = new() { PhysicalBlockExponent = 0xFF } });
        AssertPlace(BlockConfigurationOffset.Topology + 4, 4, new BlockConfiguration { Topology = new() { OptimalIoSize = uint.MaxValue } });
        AssertPlace(BlockConfigurationOffset.Writeback, 1, new BlockConfiguration { Writeback = 0xFF });
        AssertPlace(BlockConfigurationOffset.QueueCount, 2, new BlockConfiguration { QueueCount = ushort.MaxValue });
        AssertPlace(BlockConfigurationOffset.MaxDiscardSectors, 4, new BlockConfiguration { MaxDiscardSectors = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.MaxDiscardSegments, 4, new BlockConfiguration { MaxDiscardSegments = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.DiscardSectorAlignment, 4, new BlockConfiguration { DiscardSectorAlignment = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.MaxWriteZeroesSectors, 4, new BlockConfiguration { MaxWriteZeroesSectors = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.MaxWriteZeroesSegments, 4, new BlockConfiguration { MaxWriteZeroesSegments = uint.MaxValue });
        AssertPlace(BlockConfigurationOffset.WriteZeroesMayUnmap, 1, new BlockConfiguration { WriteZeroesMayUnmap = 0xFF });
        AssertPlace(60, 4, new BlockConfiguration { MaxSecureEraseSectors = uint.MaxValue });
        AssertPlace(72, 4, new BlockConfiguration { Zones = new() { ZoneSectors = uint.MaxValue } });
        AssertPlace(92, 1, new BlockConfiguration { Zones = new() { Model = 0xFF } });
        Assert.Equal(BlockConfiguration.Size, Bytes(default(BlockConfiguration)).Length);
    }

    [Fact]
    public void Balloon_and_console_configuration_have_their_fields_where_the_specification_has_them()
    {
        AssertPlace(BalloonConfiguration.TargetOffset, 4, new BalloonConfiguration { TargetPages = uint.MaxValue });
        AssertPlace(BalloonConfiguration.ActualOffset, 4, new BalloonConfiguration { ActualPages = uint.MaxValue });
        AssertPlace(BalloonConfiguration.CommandOffset, 4, new BalloonConfiguration { FreePageHintCommand = uint.MaxValue });
        AssertPlace(BalloonConfiguration.PoisonOffset, 4, new BalloonConfiguration { Poison = uint.MaxValue });
        AssertPlace(ConsoleConfiguration.WindowSizeOffset, 4, new ConsoleConfiguration { WindowSize = new ConsoleSize(ushort.MaxValue, ushort.MaxValue) });
        AssertPlace(ConsoleConfiguration.MaxPortsOffset, 4, new ConsoleConfiguration { MaxPorts = uint.MaxValue });
        AssertPlace(ConsoleConfiguration.EmergencyWriteOffset, 4, new ConsoleConfiguration { EmergencyWrite = uint.MaxValue });
        Assert.Equal((BalloonConfiguration.Size, ConsoleConfiguration.Size), (Bytes(default(BalloonConfiguration)).Length, Bytes(default(ConsoleConfiguration)).Length));
    }

    [Fact]
    public void Requests_and_messages_are_little_endian_and_have_no_gaps()
    {
        Assert.Equal([13, 0, 0, 0, 0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1], Bytes(new BlockRequestHeader(BlockRequestType.WriteZeroes, 0x0102030405060708)));
        Assert.Equal([2, 1, 0, 0, 0, 0, 0, 0, 4, 3, 0, 0, 1, 0, 0, 0], Bytes(new BlockRange(0x0102, 0x0304, BlockRange.Unmap)));
        Assert.Equal([5, 0, 8, 7, 6, 5, 4, 3, 2, 1], Bytes(new BalloonStatistic(BalloonStatisticTag.TotalMemory, 0x0102030405060708)));
        Assert.Equal([4, 3, 2, 1, 7, 0, 6, 5], Bytes(new ConsoleControl(0x01020304, ConsoleEvent.PortName, 0x0506)));
        Assert.Equal([80, 0, 25, 0], Bytes(new ConsoleSize(80, 25)));
    }

    [Fact]
    public void Port_queues_are_numbered_around_the_control_queues() =>
        Assert.Equal(
            [(0, 1), (4, 5), (6, 7), (8, 9)],
            Enumerable.Range(0, 4).Select(port => (ConsoleLayout.ReceiveQueue(port), ConsoleLayout.TransmitQueue(port))));

    private static void AssertPlace<T>(uint offset, int length, T value)
        where T : unmanaged
    {
        byte[] bytes = Bytes(value), expected = new byte[bytes.Length];
        expected.AsSpan((int)offset, length).Fill(0xFF);
        Assert.Equal(expected, bytes);
    }

    private static byte[] Bytes<T>(T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();
}
