using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Legacy;
using VirtioSharp.Transports.Pci.Modern;
using VirtioSharp.Transports.Tests.Support;
using Xunit;
using Register = VirtioSharp.Spec.Pci.LegacyPciRegister;

namespace VirtioSharp.Transports.Tests.Pci;

public sealed class LegacyPciTransportTests
{
    [Fact]
    public void A_queue_is_told_as_a_page()
    {
        var device = new ScriptedLegacyDevice();
        using var transport = new LegacyPciTransport(device.Function);

        transport.EnableQueue(1, LayoutAt(0x1234_5000, 256));
        transport.Notify(new(1, 0xABCD));

        Assert.Equal((4096, 2, 256), (transport.LegacyAlignment, transport.QueueCount, transport.ReadMaxQueueSize(0)));
        Assert.Equal(0x12345u, device.QueueRegister(1, Register.QueuePage));
        Assert.Equal(1u, device.Registers.Get(Register.QueueNotify, 2));
    }

    [Theory]
    [InlineData(0x1234_5000u, 128, 0, "128 entries are wanted, it has exactly 256")]
    [InlineData(0x1234_5800u, 256, 0, "no page")]
    [InlineData(0u, 256, 0, "no page")]
    [InlineData(0x1000_0000_0000u, 256, 0, "no page")] // beyond what 32 bits of page number can say
    [InlineData(0x1234_5000u, 256, 4096, "not where a legacy queue")]
    public void A_queue_that_the_register_cannot_tell_is_refused(ulong start, int size, ulong gap, string message)
    {
        var device = new ScriptedLegacyDevice();
        using var transport = new LegacyPciTransport(device.Function);
        QueueLayout layout = LayoutAt(start, size);

        QueueException error = Assert.Throws<QueueException>(() => transport.EnableQueue(0, layout with { DeviceArea = layout.DeviceArea.Plus(gap) }));

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Equal(0u, device.QueueRegister(0, Register.QueuePage));
    }

    [Theory]
    [InlineData(0u, "does not exist")]
    [InlineData(3u, "queue_size = 3 is not a power of two")]
    [InlineData(0xFFFFu, "queue_size = 65535 is not a power of two")]
    public void A_size_that_no_split_queue_can_have_is_refused(uint size, string message)
    {
        var device = new ScriptedLegacyDevice { QueueSize = _ => size };
        using var transport = new LegacyPciTransport(device.Function);

        Assert.Contains(message, Assert.Throws<QueueException>(() => transport.EnableQueue(0, LayoutAt(0x1000, 256))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_queue_that_is_not_taken_or_taken_already_is_an_error()
    {
        var device = new ScriptedLegacyDevice { ForgetsPages = true };
        using var transport = new LegacyPciTransport(device.Function);
        Assert.Contains("queue address = 0x0 after 0x1", Assert.Throws<QueueException>(() => transport.EnableQueue(0, LayoutAt(0x1000, 256))).Message, StringComparison.Ordinal);

        device.ForgetsPages = false;
        transport.EnableQueue(0, LayoutAt(0x1000, 256));
        Assert.Contains("enabled already", Assert.Throws<QueueException>(() => transport.EnableQueue(0, LayoutAt(0x1000, 256))).Message, StringComparison.Ordinal);
        Assert.Contains("cannot be reset", Assert.Throws<TransportException>(() => transport.ResetQueue(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_with_queues_without_end_is_not_counted_for_ever()
    {
        var device = new ScriptedLegacyDevice { QueueSize = _ => 8 };
        using var transport = new LegacyPciTransport(device.Function);

        Assert.Equal(1024, transport.QueueCount);
    }

    [Theory]
    [InlineData(InterruptKind.VectorPerQueue, 0x18)]
    [InlineData(InterruptKind.SharedVector, 0x18)]
    [InlineData(InterruptKind.Line, 0x14)]
    public void Configuration_moves_when_messages_are_enabled_and_back(InterruptKind kind, int start)
    {
        var device = new ScriptedLegacyDevice();
        using var transport = new LegacyPciTransport(device.Function);

        Assert.Equal(kind, transport.UseInterrupts(2, kind));
        byte[] field = new byte[4];
        transport.ReadConfiguration(2, field);
        transport.WriteConfiguration(3, [0x77]);

        Assert.Equal([3, 4, 5, 6], field);
        Assert.Equal(0x77u, device.Registers.Get(start + 3, 1));
        Assert.Equal(InterruptKind.Line, transport.UseInterrupts(2, InterruptKind.Line));
        Assert.Equal((0xFFFFu, 0xFFFFu), (device.ConfigurationVector, device.QueueRegister(1, Register.QueueVector)));
        transport.ReadConfiguration(2, field);
        Assert.Equal([3, 4, 5, 6], field);
    }

    [Fact]
    public void Vectors_that_are_refused_lead_to_the_line()
    {
        var device = new ScriptedLegacyDevice { RefusesVector = vector => vector == 1 };
        using var transport = new LegacyPciTransport(device.Function);

        Assert.Equal(InterruptKind.Line, transport.UseInterrupts(2));

        Assert.Equal((0xFFFFu, 0xFFFFu), (device.ConfigurationVector, device.QueueRegister(0, Register.QueueVector)));
        device.Registers.Set(Register.InterruptStatus, 1, 3);
        device.Function.Wires.IsLineRaised = true;
        Assert.Equal(InterruptSource.Queue(1), transport.WaitForInterrupt([InterruptSource.Queue(1)], TimeSpan.Zero));
        Assert.Equal(InterruptSource.Configuration, transport.WaitForInterrupt([InterruptSource.Configuration], TimeSpan.Zero));
    }

    [Fact]
    public void A_field_is_read_until_it_stands_still()
    {
        int reads = 0;
        var device = new ScriptedLegacyDevice { Configuration = _ => (byte)(Math.Min(reads++, 9) / 3) }; // changes in the middle of fields of 2 bytes
        using var transport = new LegacyPciTransport(device.Function);
        byte[] field = new byte[2];
        transport.ReadConfiguration(0, field);
        Assert.Equal([3, 3], field);

        device.Configuration = _ => (byte)reads++;
        Assert.Contains("never the same twice", Assert.Throws<TransportException>(() => transport.ReadConfiguration(0, field)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Features_are_32_bits()
    {
        var device = new ScriptedLegacyDevice();
        device.Registers.Set(Register.DeviceFeatures, 4, 0x3100_0001);
        using var transport = new LegacyPciTransport(device.Function);

        Assert.Equal(new FeatureSet(0x3100_0001), transport.ReadDeviceFeatures());
        transport.WriteDriverFeatures(new FeatureSet(0x3000_0000));
        Assert.Equal(0x3000_0000u, device.Registers.Get(Register.DriverFeatures, 4));
        _ = Assert.Throws<TransportException>(() => transport.WriteDriverFeatures(Features.Version1));
    }

    [Fact]
    public void An_unplugged_device_is_noticed_at_every_register()
    {
        var device = new ScriptedLegacyDevice();
        using var transport = new LegacyPciTransport(device.Function);
        device.Function.IsUnplugged = true;

        Action[] reads = [() => transport.ReadStatus(), () => transport.ReadDeviceFeatures(), () => transport.ReadMaxQueueSize(0), () => transport.EnableQueue(0, LayoutAt(0x1000, 256)), () => _ = transport.QueueCount];
        foreach (Action read in reads)
            Assert.Contains("unplugged", Assert.Throws<TransportException>(read).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(41, 4)]
    [InlineData(44, 1)]
    [InlineData(uint.MaxValue, 4)]
    public void Configuration_ends_with_the_registers(uint offset, int length)
    {
        var device = new ScriptedLegacyDevice();
        using var transport = new LegacyPciTransport(device.Function);

        Assert.Contains("device configuration has 44", Assert.Throws<TransportException>(() => transport.ReadConfiguration(offset, new byte[length])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_function_without_legacy_registers_is_refused()
    {
        Assert.Contains("0x1044", Assert.Throws<TransportException>(() => new LegacyPciTransport(new FakePciFunction())).Message, StringComparison.Ordinal);
        Assert.Contains("is in I/O space", Assert.Throws<TransportException>(() => new LegacyPciTransport(new ScriptedLegacyDevice(io: false).Function)).Message, StringComparison.Ordinal);
        Assert.Contains("is in I/O space", Assert.Throws<TransportException>(() => new LegacyPciTransport(new FakePciFunction(device: 0x1005))).Message, StringComparison.Ordinal);
        Assert.Contains("BAR 0 has 16 bytes", Assert.Throws<TransportException>(() => new LegacyPciTransport(new ScriptedLegacyDevice(length: 16).Function)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_interface_is_picked_by_what_the_function_has()
    {
        Assert.IsType<ModernPciTransport>(PciDrivers.Open(new ScriptedDevice().Function));
        Assert.IsType<LegacyPciTransport>(PciDrivers.Open(new ScriptedLegacyDevice().Function));
        ScriptedDevice Both()
        {
            var device = new ScriptedDevice(device: 0x1005, subsystem: 4, revision: 0);
            _ = device.Function.AddBar(0, 64, io: true);
            return device;
        }

        VirtioPciTransport modern = PciDrivers.Open(Both().Function);
        Assert.IsType<ModernPciTransport>(modern);
        Assert.Equal(DeviceId.Entropy, modern.DeviceId);
        Assert.IsType<LegacyPciTransport>(PciDrivers.Open(Both().Function, new() { Interface = PciInterface.Legacy }));
        _ = Assert.Throws<TransportException>(() => PciDrivers.Open(new ScriptedDevice().Function, new() { Interface = PciInterface.Legacy }));
        _ = Assert.Throws<TransportException>(() => PciDrivers.Open(new ScriptedLegacyDevice().Function, new() { Interface = PciInterface.Modern }));
        _ = Assert.Throws<TransportException>(() => PciDrivers.Open(new FakePciFunction(vendor: 0x8086)));
    }

    private static QueueLayout LayoutAt(ulong start, int size)
    {
        LegacyLayout layout = LegacyLayout.Of(size);
        var first = new GuestAddress(start);
        return new(size, first, first.Plus((ulong)layout.DriverAreaOffset), first.Plus((ulong)layout.DeviceAreaOffset));
    }
}
