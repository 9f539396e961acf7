using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Modern;
using VirtioSharp.Transports.Tests.Support;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

public sealed class ModernCapabilityTests
{
    [Theory]
    [InlineData(0x40, "0x40: the list goes round in a loop")]
    [InlineData(0x43, "0x40: the list goes round in a loop")] // the low bits are reserved
    [InlineData(0x08, "0x08 leads into the header")]
    public void A_list_that_does_not_end_is_named(byte next, string message)
    {
        var device = new ScriptedDevice();
        device.Function.Configuration[0x41] = next;

        TransportException error = Assert.Throws<TransportException>(() => new ModernPciTransport(device.Function));

        Assert.Contains("capability pointer = " + message, error.Message, StringComparison.Ordinal);
        Assert.InRange(device.Function.ConfigurationReads, 1, 300);
    }

    [Fact]
    public void Even_the_longest_list_of_garbage_ends()
    {
        var function = new FakePciFunction();
        function.Set(PciConfigurationRegister.Status, 2, (uint)PciStatus.CapabilityList);
        function.Configuration[PciConfigurationRegister.CapabilityPointer] = 0x40;
        for (int i = 0x40; i < 256; i += 4)
            (function.Configuration[i], function.Configuration[i + 1], function.Configuration[i + 2], function.Configuration[i + 3]) = (9, (byte)(i + 4), 20, 2);

        TransportException error = Assert.Throws<TransportException>(() => new ModernPciTransport(function));

        Assert.Contains("no common configuration structure", error.Message, StringComparison.Ordinal);
        Assert.InRange(function.ConfigurationReads, 1, 1000);
    }

    [Theory]
    [InlineData(4, 0x4000u, 64u, 16, "offset = 0x4000 is beyond the 0x4000 bytes of BAR 4")]
    [InlineData(4, 0x3FE0u, 64u, 16, "offset = 0x3fe0 is beyond")]
    [InlineData(4, 0xFFFF_FFFCu, 64u, 16, "offset = 0xfffffffc is beyond")]
    [InlineData(4, 0u, 55u, 16, "length = 55, at least 56")]
    [InlineData(4, 0u, 0u, 16, "length = 0, at least 56")]
    [InlineData(4, 2u, 64u, 16, "offset = 0x2 is not aligned to 4")]
    [InlineData(3, 0u, 64u, 16, "there is no BAR 3")]
    [InlineData(4, 0u, 64u, 15, "cap_len = 15, 16 are needed")]
    [InlineData(4, 0u, 64u, 0, "cap_len = 0, 16 are needed")]
    [InlineData(6, 0u, 64u, 16, "no common configuration structure")]
    [InlineData(255, 0u, 64u, 16, "no common configuration structure")]
    public void What_a_capability_says_wrongly_is_named(int bar, uint offset, uint length, byte bytes, string message)
    {
        var device = new ScriptedDevice(capabilities: false);
        int at = device.Function.AddVirtioCapability(VirtioPciCapabilityType.CommonConfiguration, bar, offset, length);
        device.Function.Configuration[at + 2] = bytes;

        TransportException error = Assert.Throws<TransportException>(() => new ModernPciTransport(device.Function));

        Assert.Contains("no common configuration structure", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Empty(device.Registers.Log);
    }

    [Fact]
    public void A_capability_that_hangs_over_the_end_of_configuration_space_is_not_read()
    {
        var device = new ScriptedDevice(capabilities: false);
        device.Function.Set(PciConfigurationRegister.Status, 2, (uint)PciStatus.CapabilityList);
        device.Function.Configuration[PciConfigurationRegister.CapabilityPointer] = 0xFC;
        device.Function.Set(0xFC, 4, 0x02_14_00_09);

        TransportException error = Assert.Throws<TransportException>(() => new ModernPciTransport(device.Function));

        Assert.Contains("capability at 0xfc (Notification): cap_len = 20", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_first_instance_that_can_be_is_used_and_reserved_ones_are_passed_over()
    {
        var device = new ScriptedDevice(capabilities: false);
        FakePciFunction function = device.Function;
        function.AddVirtioCapability((VirtioPciCapabilityType)77, 4, 0, 64);
        function.AddVirtioCapability(VirtioPciCapabilityType.CommonConfiguration, 7, 0, 64); // a reserved BAR
        function.AddVirtioCapability(VirtioPciCapabilityType.CommonConfiguration, 4, 0x8000, 64);
        function.AddVirtioCapability(VirtioPciCapabilityType.CommonConfiguration, 4, 0, uint.MaxValue, 0, new byte[20]); // longer than needed in both ways
        function.AddVirtioCapability(VirtioPciCapabilityType.CommonConfiguration, 4, 0x2000, 64);
        function.AddVirtioCapability(VirtioPciCapabilityType.InterruptStatus, 4, 0x1001, 1);
        function.AddVirtioCapability(VirtioPciCapabilityType.Notification, 4, 0x3000, 16, 0, 4, 0, 0, 0);

        using var transport = new ModernPciTransport(function);

        Assert.Equal(2, transport.QueueCount);
        Assert.Contains("0x8000", Assert.Single(transport.IgnoredCapabilities), StringComparison.Ordinal);
        Assert.Contains("no configuration", Assert.Throws<TransportException>(() => transport.ReadConfiguration(0, new byte[1])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Shared_memory_regions_are_listed_if_they_lie_in_their_bar()
    {
        var device = new ScriptedDevice(vectors: 0);
        _ = device.Function.AddBar(2, 1UL << 34, wide: true);
        device.Function.AddVirtioCapability(VirtioPciCapabilityType.SharedMemory, 2, 0x1000, 0x2000, id: 3, 1, 0, 0, 0, 2, 0, 0, 0);
        device.Function.AddVirtioCapability(VirtioPciCapabilityType.SharedMemory, 2, 0, 0x1000, id: 3, new byte[8]);
        device.Function.AddVirtioCapability(VirtioPciCapabilityType.SharedMemory, 2, uint.MaxValue, uint.MaxValue, id: 4, [.. Enumerable.Repeat((byte)0xFF, 8)]);

        using var transport = new ModernPciTransport(device.Function);

        Assert.Equal([new(3, 2, 0x1_0000_1000, 0x2_0000_2000)], transport.SharedMemory);
        Assert.Equal(2, transport.IgnoredCapabilities.Count);
    }

    [Fact]
    public void A_device_without_BAR_access_is_reached_through_configuration_space()
    {
        var device = new ScriptedDevice(bars: false);
        _ = Assert.Throws<TransportException>(() => new ModernPciTransport(device.Function));

        using var transport = new ModernPciTransport(device.Function, throughConfigurationSpace: true);
        device.Registers.Set(ScriptedDevice.DeviceAt, 4, 0x1122_3344);
        byte[] field = new byte[4];
        transport.ReadConfiguration(0, field);

        Assert.Equal(2, transport.QueueCount);
        Assert.Equal([0x44, 0x33, 0x22, 0x11], field);
        Assert.All(device.Function.Writes, write => Assert.StartsWith("config ", write, StringComparison.Ordinal));
    }
}
