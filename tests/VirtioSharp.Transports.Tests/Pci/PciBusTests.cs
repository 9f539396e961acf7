using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Support;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

public sealed class PciBusTests
{
    private static readonly PciAddress Slot4 = new(0, 4);

    [Fact]
    public void A_scan_finds_functions_and_changes_nothing()
    {
        using var host = new FakePciHost();
        host.Functions[new(0, 0)] = new FakePciFunction(vendor: 0x8086, device: 0x1237);
        host.Functions[Slot4] = new FakePciFunction(device: 0x1005, subsystem: 4, revision: 0);
        using var bus = new PciBus(host);

        PciScan scan = bus.Scan();

        Assert.Equal([new(0, 0), Slot4], scan.Added.Select(entry => entry.Address));
        Assert.Equal((DeviceId.None, false), (bus.Functions[0].Identity.VirtioType, bus.Functions[0].Identity.IsVirtio));
        Assert.Equal((DeviceId.Entropy, true), (bus.Functions[1].Identity.VirtioType, bus.Functions[1].Identity.IsTransitional));
        Assert.All(host.Functions.Values, function => Assert.Empty(function.Writes));
    }

    [Fact]
    public void The_functions_of_a_device_are_found_only_if_it_says_that_it_has_several()
    {
        using var host = new FakePciHost();
        foreach (int device in new[] { 2, 3 })
            foreach (int function in new[] { 0, 1, 5 })
                host.Functions[new(0, (byte)device, (byte)function)] = new FakePciFunction();
        host.Functions[new(0, 3)].Set(PciConfigurationRegister.HeaderType, 1, 0x80);
        host.Functions[new(0, 9, 1)] = new FakePciFunction(); // no function 0
        using var bus = new PciBus(host);

        _ = bus.Scan();

        Assert.Equal(["00:02.0", "00:03.0", "00:03.1", "00:03.5"], bus.Functions.Select(entry => entry.Address.ToString()));
    }

    [Fact]
    public void Registers_are_sized_with_decoding_off_and_placed_where_the_host_has_room()
    {
        using var host = new FakePciHost();
        var function = new FakePciFunction();
        FakeWindow io = function.AddBar(0, 64, io: true);
        FakeWindow small = function.AddBar(1, 0x1000);
        FakeWindow wide = function.AddBar(4, 0x4000, wide: true);
        host.Functions[Slot4] = function;
        function.Set(PciConfigurationRegister.Command, 2, (uint)(PciCommand.MemorySpace | PciCommand.IoSpace));
        var decodedWhileSizing = false;
        function.OnConfigurationWrite = (offset, _, value) =>
            decodedWhileSizing |= offset is >= 0x10 and < 0x28 && value == uint.MaxValue && (function.Command & (PciCommand.MemorySpace | PciCommand.IoSpace)) != 0;
        using var bus = new PciBus(host);
        _ = bus.Scan();

        using IPciFunction opened = bus.Open(Slot4);

        Assert.False(decodedWhileSizing);
        Assert.Equal(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster, function.Command);
        Assert.Equal((0xC000u | 1, 0xE000_4000u, 0xE000_0004u, 0u), (function.Get(0x10, 4), function.Get(0x14, 4), function.Get(0x20, 4), function.Get(0x24, 4)));
        Assert.Null(opened.OpenBar(2));
        Assert.Null(opened.OpenBar(5));
        opened.OpenBar(4)!.Write(0x3FFC, 4, 0x1234_5678);
        opened.OpenBar(1)!.Write(0, 2, 0xABCD);
        opened.OpenBar(0)!.Write(18, 1, 7);
        Assert.Equal((0x1234_5678u, 0xABCDu, 7u), (wide.Get(0x3FFC, 4), small.Get(0, 2), io.Get(18, 1)));
    }

    [Fact]
    public void A_wide_register_can_be_placed_above_4_GiB()
    {
        using var host = new FakePciHost { MemoryAperture = new(0x80_0000_0000, 1UL << 38) };
        var function = new FakePciFunction();
        FakeWindow wide = function.AddBar(2, 1UL << 36, wide: true);
        host.Functions[Slot4] = function;
        using var bus = new PciBus(host);

        using IPciFunction opened = bus.Open(Slot4);

        Assert.Equal((4u, 0x80u), (function.Get(0x18, 4), function.Get(0x1C, 4)));
        opened.OpenBar(2)!.Write(8, 4, 5);
        Assert.Equal(5u, wide.Get(8, 4));
    }

    [Fact]
    public void Addresses_can_be_used_again_however_often_functions_come_and_go()
    {
        using var host = new FakePciHost { MemoryAperture = new(0xE000_0000, 0x8000) };
        using var bus = new PciBus(host);
        for (int i = 0; i < 100; i++)
        {
            var function = new FakePciFunction();
            _ = function.AddBar(4, 0x4000, wide: true);
            host.Functions[Slot4] = function;
            Assert.Single(bus.Scan().Added);
            using (bus.Open(Slot4))
                Assert.Throws<InvalidOperationException>(() => bus.Open(Slot4));

            Assert.Equal(PciCommand.None, function.Command);
            _ = host.Functions.Remove(Slot4);
            Assert.Single(bus.Scan().Removed);
        }
    }

    [Fact]
    public void A_function_in_the_place_of_another_is_noticed_even_if_it_is_of_the_same_kind()
    {
        using var host = new FakePciHost();
        FakePciFunction NewFunction()
        {
            var function = new FakePciFunction();
            _ = function.AddBar(4, 0x4000, wide: true);
            return function;
        }

        host.Functions[Slot4] = NewFunction();
        using var bus = new PciBus(host);
        _ = bus.Scan();
        using IPciFunction opened = bus.Open(Slot4);
        Assert.Equal((0, 0), (bus.Scan().Added.Count, bus.Scan().Removed.Count));

        host.Functions[Slot4] = NewFunction();
        PciScan scan = bus.Scan();

        Assert.Equal((1, 1), (scan.Added.Count, scan.Removed.Count));
        Assert.Equal(uint.MaxValue, opened.OpenBar(4)!.Read(0, 4));
    }

    [Theory]
    [InlineData(0x20, 0x0000_0004, 0xFFFF_FFFF, "its size would be 0x0")] // takes no bit of an address
    [InlineData(0x10, 0x0000_0001, 0, "its size would be 0x0")]
    [InlineData(0x10, 0xFFFF_0FF0, 0, "its size would be 0x")] // a hole in the mask
    [InlineData(0x10, 0xFFFF_F006, 0, "memory type 3 is reserved")]
    [InlineData(0x24, 0xFFFF_F004, 0, "no upper half")]
    [InlineData(0x10, 0xFFFF_FFFF, 0, "unplugged")]
    [InlineData(0x10, 0xF000_0000, 0, "no room in the host's 0x100000 from 0xe0000000")]
    [InlineData(0x20, 0x0000_0004, 0xFFFF_FFF0, "no room")]
    [InlineData(0x10, 0xFFFF_F000, 0, "does not hold the address")] // sizes well, but forgets
    public void A_register_that_answers_what_none_can_is_named(int register, uint low, uint high, string message)
    {
        using var host = new FakePciHost();
        var function = new FakePciFunction();
        function.OnConfigurationRead = (offset, width) => width != 4 ? null : offset == register ? low : offset == register + 4 && high != 0 ? high : null;
        host.Functions[Slot4] = function;
        using var bus = new PciBus(host);
        _ = bus.Scan();

        if (high == uint.MaxValue)
            function.OnConfigurationRead = (offset, _) => offset == register ? 4 : offset == register + 4 ? 0 : null;
        TransportException error = Assert.Throws<TransportException>(() => bus.Open(Slot4));

        Assert.Contains("00:04.0: BAR ", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Equal(PciCommand.None, function.Command);
        Assert.InRange(host.Cycles, 0, 200);
    }

    [Fact]
    public void A_function_that_does_not_fit_leaves_the_room_to_others()
    {
        using var host = new FakePciHost { MemoryAperture = new(0xE000_0000, 0x4000) };
        var greedy = new FakePciFunction();
        _ = greedy.AddBar(0, 0x2000);
        _ = greedy.AddBar(1, 0x4000);
        var modest = new FakePciFunction();
        _ = modest.AddBar(0, 0x4000);
        (host.Functions[new(0, 1)], host.Functions[new(0, 2)]) = (greedy, modest);
        using var bus = new PciBus(host);

        _ = Assert.Throws<TransportException>(() => bus.Open(new(0, 1)));
        using IPciFunction opened = bus.Open(new(0, 2));

        Assert.NotNull(opened.OpenBar(0));
    }

    [Fact]
    public void A_bridge_and_an_empty_place_are_not_opened()
    {
        using var host = new FakePciHost();
        host.Functions[new(0, 1)] = new FakePciFunction();
        host.Functions[new(0, 1)].Set(PciConfigurationRegister.HeaderType, 1, 1);
        using var bus = new PciBus(host);

        Assert.Contains("header type = 1", Assert.Throws<TransportException>(() => bus.Open(new(0, 1))).Message, StringComparison.Ordinal);
        Assert.Contains("vendor id = 0xffff", Assert.Throws<TransportException>(() => bus.Open(Slot4)).Message, StringComparison.Ordinal);
    }
}
