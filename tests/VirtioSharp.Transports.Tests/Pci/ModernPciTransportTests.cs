using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Modern;
using VirtioSharp.Transports.Tests.Support;
using Xunit;
using Register = VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Tests.Pci;

public sealed class ModernPciTransportTests
{
    private static readonly QueueLayout Layout = new(16, new(0x1_2345_6000), new(0x2_3456_7100), new(0x3_4567_8200));

    [Fact]
    public void All_128_feature_bits_come_and_go_in_words_of_32()
    {
        var all = new FeatureSet(0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210);
        var device = new ScriptedDevice { Offered = all };
        using var transport = new ModernPciTransport(device.Function);

        Assert.Equal(all, transport.ReadDeviceFeatures());
        transport.WriteDriverFeatures(all);

        Assert.Equal(all, device.Accepted);
    }

    [Fact]
    public void A_queue_is_told_in_32_bit_halves_before_it_is_enabled()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        device.Registers.Log.Clear();

        transport.EnableQueue(1, Layout);

        Assert.Equal(
            ["W 16/2 = 1", "W 18/2 = 10", "W 20/4 = 23456000", "W 24/4 = 1", "W 28/4 = 34567100", "W 2c/4 = 2", "W 30/4 = 45678200", "W 34/4 = 3", "W 1c/2 = 1"],
            device.Registers.Log.Where(access => access[0] == 'W'));
    }

    [Theory]
    [InlineData(0u, "queue_size = 0: it does not exist")]
    [InlineData(8u, "16 entries are wanted, queue_size = 8")]
    [InlineData(32769u, "queue_size = 32769 is more than 32768")]
    [InlineData(65535u, "queue_size = 65535 is more than 32768")]
    public void A_queue_whose_size_cannot_be_is_refused(uint size, string message)
    {
        var device = new ScriptedDevice { QueueSizes = [size] };
        using var transport = new ModernPciTransport(device.Function);

        QueueException error = Assert.Throws<QueueException>(() => transport.EnableQueue(0, Layout));

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Equal(0u, device.QueueRegister(0, Register.QueueEnable));
    }

    [Fact]
    public void A_queue_beyond_the_last_has_no_entries_and_is_not_asked_for()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        device.Registers.Log.Clear();

        Assert.Equal((0, 0, 0), (transport.ReadMaxQueueSize(2), transport.ReadMaxQueueSize(-1), transport.ReadMaxQueueSize(1 << 20)));
        Assert.Empty(device.Registers.Log);
    }

    [Fact]
    public void A_size_that_is_not_accepted_is_an_error()
    {
        var device = new ScriptedDevice { AcceptedQueueSize = 256 };
        using var transport = new ModernPciTransport(device.Function);

        Assert.Contains("queue_size = 256 after 16", Assert.Throws<QueueException>(() => transport.EnableQueue(0, Layout)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_queue_that_does_not_become_enabled_or_is_already_is_an_error()
    {
        var device = new ScriptedDevice { NeverEnables = true };
        using var transport = new ModernPciTransport(device.Function);
        Assert.Contains("queue_enable = 0 after 1", Assert.Throws<QueueException>(() => transport.EnableQueue(0, Layout)).Message, StringComparison.Ordinal);

        device.NeverEnables = false;
        transport.EnableQueue(1, Layout);
        Assert.Contains("enabled already", Assert.Throws<QueueException>(() => transport.EnableQueue(1, Layout)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, false, 1, 2, 0x1u)]
    [InlineData(true, false, 1, 4, 0xABCD_0001u)]
    [InlineData(false, true, 1, 2, 0x81u)]
    [InlineData(true, true, 1, 4, 0xABCD_0081u)]
    public void A_notification_has_the_width_and_the_value_that_were_negotiated(bool data, bool configData, ushort queue, int width, uint value)
    {
        var device = new ScriptedDevice { NotifyOffset = queue => queue * 2 };
        using var transport = new ModernPciTransport(device.Function);
        transport.WriteDriverFeatures(Features.Version1 | (data ? Features.NotificationData : default) | (configData ? Features.NotifyConfigData : default));
        transport.EnableQueue(queue, Layout);

        transport.Notify(new(queue, 0xABCD));

        Assert.Equal([(8, width, value)], device.Doorbells);
    }

    [Theory]
    [InlineData(4u, 0x1000u, 0x400u, false, "beyond the 4096 bytes")] // the first byte after
    [InlineData(0xFFFF_FFFFu, 0x1000u, 0xFFFFu, false, "beyond the 4096 bytes")]
    [InlineData(2u, 6u, 2u, true, "beyond the 6 bytes")] // room for 16 bits only
    [InlineData(2u, 8u, 1u, true, "not aligned to 4")]
    [InlineData(1u, 8u, 1u, false, "not aligned to 2")]
    public void A_doorbell_outside_its_structure_is_refused(uint multiplier, uint length, uint offset, bool data, string message)
    {
        var device = new ScriptedDevice(notifyLength: length, multiplier: multiplier) { NotifyOffset = _ => offset };
        using var transport = new ModernPciTransport(device.Function);
        transport.WriteDriverFeatures(Features.Version1 | (data ? Features.NotificationData : default));

        QueueException error = Assert.Throws<QueueException>(() => transport.EnableQueue(0, Layout));

        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.Equal(0u, device.QueueRegister(0, Register.QueueEnable));
    }

    [Theory]
    [InlineData(0, 1, "R 2000/1")]
    [InlineData(6, 2, "R 2006/2")]
    [InlineData(7, 2, "R 2007/1 R 2008/1")]
    [InlineData(8, 4, "R 2008/4")]
    [InlineData(10, 4, "R 200a/1 R 200b/1 R 200c/1 R 200d/1")]
    [InlineData(4, 8, "R 2004/4 R 2008/4")]
    [InlineData(0, 6, "R 2000/1 R 2001/1 R 2002/1 R 2003/1 R 2004/1 R 2005/1")]
    [InlineData(63, 1, "R 203f/1")]
    [InlineData(64, 0, "")]
    public void Configuration_is_accessed_in_the_width_of_the_field(uint offset, int length, string accesses)
    {
        var device = new ScriptedDevice();
        for (int i = 0; i < 64; i++)
            device.Registers.Set(ScriptedDevice.DeviceAt + i, 1, (uint)i + 1);
        using var transport = new ModernPciTransport(device.Function);
        device.Registers.Log.Clear();
        byte[] field = new byte[length];

        transport.ReadConfiguration(offset, field);

        Assert.Equal(accesses, string.Join(' ', device.Registers.Log));
        Assert.Equal(Enumerable.Range((int)offset + 1, length).Select(i => (byte)i), field);
        device.Registers.Log.Clear();
        transport.WriteConfiguration(offset, field);
        Assert.Equal(accesses.Replace('R', 'W'), string.Join(' ', device.Registers.Log.Select(access => access.Split(" =")[0])));
        transport.ReadConfiguration(offset, field);
        Assert.Equal(Enumerable.Range((int)offset + 1, length).Select(i => (byte)i), field);
    }

    [Theory]
    [InlineData(61, 4)]
    [InlineData(64, 1)]
    [InlineData(uint.MaxValue, 1)]
    public void Configuration_ends_where_the_device_says(uint offset, int length)
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);

        Assert.Contains("device configuration has 64", Assert.Throws<TransportException>(() => transport.ReadConfiguration(offset, new byte[length])).Message, StringComparison.Ordinal);
        _ = Assert.Throws<TransportException>(() => transport.WriteConfiguration(offset, new byte[length]));
    }

    [Fact]
    public void A_queue_is_reset_alone_and_may_come_back_smaller()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        transport.WriteDriverFeatures(Features.Version1 | Features.RingReset);
        transport.EnableQueue(0, Layout);

        transport.ResetQueue(0);
        transport.EnableQueue(0, Layout with { Size = 8 });

        Assert.Equal(8u, device.QueueRegister(0, Register.QueueSize));
    }

    [Fact]
    public void A_queue_that_is_never_let_go_of_is_not_waited_for_for_ever()
    {
        var device = new ScriptedDevice { NeverResetsQueues = true };
        using var transport = new ModernPciTransport(device.Function);
        _ = Assert.Throws<TransportException>(() => transport.ResetQueue(0)); // not negotiated
        transport.WriteDriverFeatures(Features.Version1 | Features.RingReset);
        transport.EnableQueue(0, Layout);

        Assert.Contains("queue_reset still reads 1", Assert.Throws<TransportException>(() => transport.ResetQueue(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Features_without_their_registers_are_refused()
    {
        var device = new ScriptedDevice(commonLength: Register.MinSize);
        using var transport = new ModernPciTransport(device.Function);

        transport.WriteDriverFeatures(Features.Version1);
        _ = Assert.Throws<TransportException>(() => transport.WriteDriverFeatures(Features.Version1 | Features.RingReset));
        _ = Assert.Throws<TransportException>(() => transport.WriteDriverFeatures(Features.Version1 | Features.NotifyConfigData));
    }

    [Fact]
    public void An_unplugged_device_is_noticed_at_every_register()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        transport.EnableQueue(0, Layout);
        device.Function.IsUnplugged = true;

        Action[] reads =
        [
            () => transport.ReadStatus(), () => transport.ReadDeviceFeatures(), () => transport.ReadConfigurationGeneration(), () => transport.ReadMaxQueueSize(0),
            () => transport.ReadConfiguration(0, new byte[4]), () => transport.EnableQueue(1, Layout), () => transport.UseInterrupts(1),
        ];
        foreach (Action read in reads)
            Assert.Contains("unplugged", Assert.Throws<TransportException>(read).Message, StringComparison.Ordinal);
        transport.Notify(new(0, 0)); // into the void
        _ = Assert.Throws<TransportException>(() => new ModernPciTransport(device.Function));
    }

    [Fact]
    public void All_ones_in_a_register_of_a_device_that_is_there_are_a_value()
    {
        var device = new ScriptedDevice();
        device.Registers.Set(Register.ConfigurationGeneration, 1, 0xFF);
        device.Registers.Set(ScriptedDevice.DeviceAt, 4, uint.MaxValue);
        using var transport = new ModernPciTransport(device.Function);
        byte[] field = new byte[4];

        transport.ReadConfiguration(0, field);

        Assert.Equal(0xFFu, transport.ReadConfigurationGeneration());
        Assert.Equal([0xFF, 0xFF, 0xFF, 0xFF], field);
    }

    [Fact]
    public void A_session_ends_with_a_typed_error_when_features_are_refused_or_the_status_does_not_clear()
    {
        var device = new ScriptedDevice(device: 0x1044) { RefusesFeatures = true };
        using (var transport = new ModernPciTransport(device.Function))
            Assert.Contains("refused the features", Assert.Throws<TransportException>(() => DriverSession.Open(transport, DeviceId.Entropy)).Message, StringComparison.Ordinal);

        device = new ScriptedDevice { NeverResets = true };
        using (var transport = new ModernPciTransport(device.Function))
        {
            transport.WriteStatus(DeviceStatus.Acknowledge);
            Assert.Contains("after a reset", Assert.Throws<TransportException>(() => DriverSession.Open(transport, DeviceId.Entropy)).Message, StringComparison.Ordinal);
        }

        Assert.Equal(PciCommand.None, device.Function.Command & PciCommand.BusMaster);
    }

    [Fact]
    public void A_function_that_is_not_virtio_is_refused()
    {
        Assert.Contains("8086:1044", Assert.Throws<TransportException>(() => new ModernPciTransport(new FakePciFunction(vendor: 0x8086))).Message, StringComparison.Ordinal);
        Assert.Contains("1af4:1080", Assert.Throws<TransportException>(() => new ModernPciTransport(new FakePciFunction(device: 0x1080))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Notifying_allocates_nothing()
    {
        var device = new ScriptedDevice();
        using var transport = new ModernPciTransport(device.Function);
        transport.EnableQueue(0, Layout);
        device.Registers.OnWrite = (_, _, _) => true;
        for (int i = 0; i < 100; i++)
            transport.Notify(new(0, 1));
        device.Registers.IsLogging = false;
        device.Function.Wires.OnWait = () => false;
        InterruptSource[] sources = [InterruptSource.Queue(0)];
        _ = transport.WaitForInterrupt(sources, TimeSpan.FromSeconds(1));

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            transport.Notify(new(0, 1));
            _ = transport.WaitForInterrupt(sources, TimeSpan.FromSeconds(1));
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
