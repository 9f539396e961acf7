using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;
using static VirtioSharp.Spec.Pci.CommonConfigurationRegister;
using Status = VirtioSharp.Spec.DeviceStatus;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>The modern structures as a driver that keeps the rules sees them (§4.1.4).</summary>
public sealed class ModernRegisterTests
{
    private readonly ScriptedFunctionDevice _device = new();

    [Fact]
    [Proves("Feature negotiation", "in-process PCI, modern")]
    public void Every_word_of_features_is_shown_and_accepted()
    {
        using var hand = new ModernHand(_device);
        FeatureSet offered = hand.ReadOffered();

        Assert.Equal(DeviceHostOptions.AllRingFeatures | Features.NotifyConfigData | ScriptedFunctionDevice.Own, offered);
        Assert.True(hand.Negotiate(offered).HasFlag(Status.FeaturesOk));
        Assert.Equal(offered, hand.Function.Host.DriverFeatures);
        hand.Write(DriverFeatureSelect, 4, 2);
        Assert.Equal(4u, hand.Read(DriverFeature, 4));
    }

    [Fact]
    public void The_fields_read_as_they_must_after_a_reset()
    {
        using var hand = new ModernHand(_device);
        hand.Machine.UseMsix();
        hand.Start(16);
        hand.Write(ConfigurationVector, 2, 2);
        hand.Write(QueueVector, 2, 1);
        hand.Write(DeviceFeatureSelect, 4, 1);

        hand.Status = Status.Reset;

        Assert.Equal((0u, 0u, 0u), (hand.Read(DeviceFeatureSelect, 4), hand.Read(DriverFeatureSelect, 4), hand.Read(QueueSelect, 2)));
        Assert.Equal((0xFFFFu, 0xFFFFu), (hand.Read(ConfigurationVector, 2), hand.Read(QueueVector, 2)));
        Assert.Equal((2u, 64u, 0u), (hand.Read(QueueCount, 2), hand.Read(QueueSize, 2), hand.Read(QueueEnable, 2)));
        Assert.Equal(0u, hand.Read(QueueDescriptorArea, 4) | hand.Read(QueueDriverArea, 4) | hand.Read(QueueDeviceArea, 4));
        Assert.Equal((Status.Reset, 0u), (hand.Status, hand.Read(QueueReset, 2)));
        Assert.Equal((0u, 0u), (hand.Read(AdminQueueIndex, 2), hand.Read(AdminQueueCount, 2)));
    }

    [Fact]
    public void Each_queue_has_its_own_fields()
    {
        using var hand = new ModernHand(_device);
        hand.Machine.UseMsix();
        hand.Negotiate(Features.Version1);
        for (uint queue = 0; queue < 2; queue++)
        {
            hand.Write(QueueSelect, 2, queue);
            hand.Write(QueueSize, 2, 16u << (int)queue);
            hand.Write(QueueVector, 2, queue + 1);
            hand.Write64(QueueDescriptorArea, 0x1_2345_6000ul + queue);
            hand.Write64(QueueDriverArea, 0x2_2345_6000ul + queue);
            hand.Write64(QueueDeviceArea, 0x3_2345_6000ul + queue);
        }

        for (uint queue = 0; queue < 2; queue++)
        {
            hand.Write(QueueSelect, 2, queue);
            Assert.Equal((queue, 16u << (int)queue, queue + 1), (hand.Read(QueueSelect, 2), hand.Read(QueueSize, 2), hand.Read(QueueVector, 2)));
            Assert.Equal((0x2345_6000 + queue, 1u), (hand.Read(QueueDescriptorArea, 4), hand.Read(QueueDescriptorArea + 4, 4)));
            Assert.Equal((0x2345_6000 + queue, 2u), (hand.Read(QueueDriverArea, 4), hand.Read(QueueDriverArea + 4, 4)));
            Assert.Equal((0x2345_6000 + queue, 3u), (hand.Read(QueueDeviceArea, 4), hand.Read(QueueDeviceArea + 4, 4)));
            Assert.Equal((queue, queue), (hand.Read(QueueNotifyOffset, 2), hand.Read(QueueNotifyData, 2)));
        }
    }

    [Theory]
    [InlineData(4)]
    [InlineData(4096)]
    [InlineData(0)]
    public void A_queue_is_notified_at_its_own_address_or_by_value_where_all_share_one(int multiplier)
    {
        using var hand = new ModernHand(_device, new VirtioPciOptions { NotifyMultiplier = multiplier });
        hand.Negotiate(Features.Version1);
        HandRing first = hand.EnableQueue(0, 8), second = hand.EnableQueue(1, 8);
        hand.Status |= Status.DriverOk;
        first.Add();
        second.Add();

        hand.Notify(1);
        Assert.Equal((0, 1), (first.UsedIndex, second.UsedIndex));
        hand.Notify(0);
        Assert.Equal((1, 1), (first.UsedIndex, second.UsedIndex));
        Assert.Equal((1, 2), (first.BufferOf(0)[0], second.BufferOf(0)[0]));
        Assert.Equal((ulong)multiplier, hand.NotifyAddress(1) - hand.NotifyAddress(0));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(6)]
    public void A_multiplier_that_the_specification_forbids_is_refused(int multiplier) =>
        Assert.Throws<ArgumentException>(() => new VirtioPciFunction(_device, new VirtioPciOptions { NotifyMultiplier = multiplier }));

    [Fact]
    [Proves("NOTIFICATION_DATA", "in-process PCI, modern")]
    public void With_NOTIFICATION_DATA_a_notification_has_32_bits()
    {
        using var hand = new ModernHand(_device);
        hand.Negotiate(Features.Version1 | Features.NotificationData);
        hand.EnableQueue(0, 8);
        HandRing ring = hand.EnableQueue(1, 8);
        hand.Status |= Status.DriverOk;
        ring.Add();

        hand.Bar.Write(hand.NotifyAddress(1), 4, 1u | (uint)ring.NextAvailable << 16);

        Assert.Equal(1, ring.UsedIndex);
    }

    [Fact]
    [Proves("RING_RESET", "in-process PCI, modern")]
    public void A_queue_that_was_reset_is_enabled_again_with_another_size()
    {
        using var hand = new ModernHand(_device);
        HandRing ring = hand.Start(8, Features.RingReset);
        ring.Add();
        hand.Notify(0);

        hand.Write(QueueReset, 2, 1);
        Assert.Equal((0u, 0u, 64u), (hand.Read(QueueReset, 2), hand.Read(QueueEnable, 2), hand.Read(QueueSize, 2)));
        HandRing anew = hand.EnableQueue(0, 32);
        Assert.Equal((1u, 32u), (hand.Read(QueueEnable, 2), hand.Read(QueueSize, 2)));
        anew.Add();
        hand.Notify(0);

        Assert.Equal((1, 1), (ring.UsedIndex, anew.UsedIndex));
    }

    [Fact]
    public void ISR_status_is_cleared_and_the_line_lowered_by_a_read()
    {
        using var hand = new ModernHand(_device);
        HandRing ring = hand.Start();
        ring.Add();
        hand.Notify(0);
        _device.Change(9);

        Assert.True(hand.Machine.Interrupts.IsLineRaised);
        Assert.NotEqual(0u, hand.Machine.Read(PciConfigurationRegister.Command, 4) >> 16 & (uint)PciStatus.Interrupt);
        Assert.NotEqual(0u, hand.Machine.Read(PciConfigurationRegister.Status, 2) & (uint)PciStatus.Interrupt);
        Assert.NotEqual(0u, hand.Machine.Read(PciConfigurationRegister.Status, 1) & (uint)PciStatus.Interrupt);
        Assert.Equal(3u, hand.ReadIsr());
        Assert.Equal(0u, hand.ReadIsr());
        Assert.False(hand.Machine.Interrupts.IsLineRaised);
        Assert.Equal(0u, hand.Machine.Read(PciConfigurationRegister.Status, 2) & (uint)PciStatus.Interrupt);
    }

    [Fact]
    public void InterruptDisable_keeps_the_line_down_and_the_status_bit_up()
    {
        using var hand = new ModernHand(_device);
        hand.Start();
        hand.Machine.Command |= PciCommand.InterruptDisable;

        _device.Change(9);

        Assert.False(hand.Machine.Interrupts.IsLineRaised);
        Assert.False(hand.Machine.Interrupts.Wait(TimeSpan.Zero));
        Assert.NotEqual(0u, hand.Machine.Read(PciConfigurationRegister.Status, 2) & (uint)PciStatus.Interrupt);
        hand.Machine.Command &= ~PciCommand.InterruptDisable;
        Assert.True(hand.Machine.Interrupts.IsLineRaised);
        Assert.True(hand.Machine.Interrupts.Wait(TimeSpan.Zero));
    }

    [Fact]
    [Proves("MSI-X", "in-process PCI, modern")]
    public void With_MSI_X_the_line_is_not_used_and_what_is_not_mapped_is_silent()
    {
        using var hand = new ModernHand(_device);
        hand.Machine.UseMsix();
        HandRing ring = hand.Start();
        hand.Write(ConfigurationVector, 2, 2);
        ring.Add();
        hand.Notify(0);

        _device.Change(9);

        Assert.Equal(2u, hand.Read(ConfigurationVector, 2));
        Assert.True(hand.Machine.Interrupts.TakeMessage(2));
        Assert.False(hand.Machine.Interrupts.TakeMessage(0) || hand.Machine.Interrupts.TakeMessage(1));
        Assert.False(hand.Machine.Interrupts.IsLineRaised);
        Assert.Equal(0u, hand.Machine.Read(PciConfigurationRegister.Status, 2) & (uint)PciStatus.Interrupt);
    }

    [Fact]
    public void Device_configuration_is_read_and_written_at_every_width()
    {
        using var hand = new ModernHand(_device);
        ulong at = hand.OffsetOf(VirtioPciCapabilityType.DeviceConfiguration);

        Assert.Equal(0x0403_0201u, hand.Bar.Read(at, 4));
        Assert.Equal(0x0605u, hand.Bar.Read(at + 4, 2));
        Assert.Equal(8u, hand.Bar.Read(at + 7, 1));
        hand.Bar.Write(at + 4, 4, 0xAABB_CCDD);
        hand.Bar.Write(at + 3, 1, 0x11);
        Assert.Equal([1, 2, 3, 0x11, 0xDD, 0xCC, 0xBB, 0xAA], _device.Bytes);
        Assert.Equal(0u, hand.Bar.Read(at + 8, 4)); // behind it
        hand.Bar.Write(at + 8, 4, 1);
    }

    [Fact]
    public void The_generation_changes_when_what_was_read_is_new_even_after_256_changes()
    {
        using var hand = new ModernHand(_device);
        ulong at = hand.OffsetOf(VirtioPciCapabilityType.DeviceConfiguration);
        uint before = hand.Read(ConfigurationGeneration, 1);
        Assert.Equal(before, hand.Read(ConfigurationGeneration, 1));

        for (int change = 0; change < 256; change++)
            _device.Change((byte)change);
        Assert.Equal(255u, hand.Bar.Read(at, 1));

        uint after = hand.Read(ConfigurationGeneration, 1);
        Assert.NotEqual(before, after);
        hand.Bar.Read(at, 4);
        Assert.Equal(after, hand.Read(ConfigurationGeneration, 1));
    }

    [Fact]
    public void The_window_in_configuration_space_reaches_every_structure_without_a_BAR()
    {
        using var hand = new ModernHand(_device);
        HandRing ring = hand.Start();
        ring.Add();
        ulong notify = hand.NotifyAddress(0);
        hand.Machine.Command = PciCommand.BusMaster;

        Assert.Equal(2u, ReadThrough(hand, QueueCount, 2));
        Assert.Equal(0x0403_0201u, ReadThrough(hand, hand.OffsetOf(VirtioPciCapabilityType.DeviceConfiguration), 4));
        WriteThrough(hand, notify, 2, 0);
        Assert.Equal(1, ring.UsedIndex);
        Assert.Equal(1u, ReadThrough(hand, hand.OffsetOf(VirtioPciCapabilityType.InterruptStatus), 1));
        Assert.False(hand.Machine.Interrupts.IsLineRaised);
        WriteThrough(hand, CommonConfigurationRegister.DeviceStatus, 1, 0);
        Assert.Equal(Status.Reset, hand.Function.Host.Status);
    }

    [Theory]
    [InlineData(4, 0x14, 3)]
    [InlineData(4, 0x14, 0)]
    [InlineData(4, 0x15, 2)]
    [InlineData(4, 0x4000, 1)]
    [InlineData(4, 0xFFFF_FFFC, 4)]
    [InlineData(4, 0x14, 0x8000_0001)]
    [InlineData(1, 0, 4)] // MSI-X is no virtio structure
    [InlineData(0, 0, 4)]
    [InlineData(5, 0, 4)]
    [InlineData(255, 0, 4)]
    [Proves("Hostile driver", "in-process PCI, modern")]
    public void The_window_refuses_what_a_driver_must_not_ask_for(uint bar, uint offset, uint length)
    {
        using var hand = new ModernHand(_device);
        hand.Start();
        hand.Machine.UseMsix();

        WriteThrough(hand, offset, length, 0, bar);

        Assert.Equal(0u, ReadThrough(hand, offset, length, bar));
        Assert.Equal(Status.DriverOk, hand.Status & Status.DriverOk);
        Assert.NotEqual(0u, hand.Machine.Bar(1).Read(0, 4));
    }

    [Fact]
    public void Shared_memory_has_a_BAR_and_capabilities()
    {
        var memory = new Bytes(0x1800);
        var other = new Bytes(16);
        using var hand = new ModernHand(_device, new VirtioPciOptions { SharedMemory = [new(3, memory), new(7, other)] });
        List<(uint Id, ulong Offset, ulong Length)> found = [];
        hand.Machine.FindCapability(at =>
        {
            if (hand.Machine.Read(at, 1) == 9 && hand.Machine.Read(at + VirtioPciCapabilityLayout.Type, 1) == (uint)VirtioPciCapabilityType.SharedMemory)
            {
                Assert.Equal((24u, 2u), (hand.Machine.Read(at + 2, 1), hand.Machine.Read(at + VirtioPciCapabilityLayout.Bar, 1)));
                Assert.Equal((0u, 0u), (hand.Machine.Read(at + VirtioPciCapabilityLayout.OffsetHigh, 4), hand.Machine.Read(at + VirtioPciCapabilityLayout.AreaLengthHigh, 4)));
                found.Add((hand.Machine.Read(at + VirtioPciCapabilityLayout.Id, 1), hand.Machine.Read(at + VirtioPciCapabilityLayout.Offset, 4), hand.Machine.Read(at + VirtioPciCapabilityLayout.AreaLength, 4)));
            }

            return false;
        });

        Assert.Equal([(3u, 0ul, 0x1800ul), (7u, 0x2000ul, 16ul)], found);
        hand.Machine.Bar(2).Write(0x17FC, 4, 0x0403_0201);
        hand.Machine.Bar(2).Write(0x2003, 1, 5);
        hand.Machine.Bar(2).Write(0x17FE, 4, 0xFFFF_FFFF); // across its end
        Assert.Equal([1, 2, 3, 4], memory.Content[0x17FC..]);
        Assert.Equal((5, 0x0500_0000u, 0u), (other.Content[3], hand.Machine.Bar(2).Read(0x2000, 4), hand.Machine.Bar(2).Read(0x1800, 4)));
    }

    [Fact]
    public void Vendor_data_is_a_capability_of_whole_words()
    {
        using var machine = new PciMachine(_device, new VirtioPciOptions { VendorData = [new(0x1234, new byte[] { 1, 2, 3 })] });

        int at = machine.FindCapability(VirtioPciCapabilityType.Vendor);

        Assert.Equal((12u, 0x1234u), (machine.Read(at + 2, 1), machine.Read(at + 4, 2)));
        Assert.Equal([1u, 2u, 3u, 0u], Enumerable.Range(6, 4).Select(i => machine.Read(at + i, 1)));
        Assert.Throws<ArgumentException>(() => new VirtioPciFunction(new ScriptedFunctionDevice(), new VirtioPciOptions { VendorData = [new(0x1AF4, default)] }));
    }

    private static void Aim(ModernHand hand, ulong offset, uint length, uint bar)
    {
        int at = hand.Machine.FindCapability(VirtioPciCapabilityType.PciConfigurationAccess);
        hand.Machine.Write(at + VirtioPciCapabilityLayout.Bar, 1, bar);
        hand.Machine.Write(at + VirtioPciCapabilityLayout.AreaLength, 4, length);
        hand.Machine.Write(at + VirtioPciCapabilityLayout.Offset, 4, (uint)offset);
    }

    private static uint ReadThrough(ModernHand hand, ulong offset, uint length, uint bar = 4)
    {
        Aim(hand, offset, length, bar);
        return hand.Machine.Read(hand.Machine.FindCapability(VirtioPciCapabilityType.PciConfigurationAccess) + VirtioPciCapabilityLayout.WindowData, 4);
    }

    private static void WriteThrough(ModernHand hand, ulong offset, uint length, uint value, uint bar = 4)
    {
        Aim(hand, offset, length, bar);
        hand.Machine.Write(hand.Machine.FindCapability(VirtioPciCapabilityType.PciConfigurationAccess) + VirtioPciCapabilityLayout.WindowData, 4, value);
    }

    private sealed class Bytes(int length) : IRegisterWindow
    {
        public byte[] Content { get; } = new byte[length];

        public ulong Length => (ulong)Content.Length;

        public uint Read(ulong offset, int width)
        {
            uint value = 0;
            for (int i = width - 1; i >= 0; i--)
                value = value << 8 | Content[(int)offset + i];
            return value;
        }

        public void Write(ulong offset, int width, uint value)
        {
            for (int i = 0; i < width; i++)
                Content[(int)offset + i] = (byte)(value >> (8 * i));
        }
    }
}
