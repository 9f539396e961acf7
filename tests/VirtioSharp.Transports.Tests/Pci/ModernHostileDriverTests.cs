using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;
using static VirtioSharp.Spec.Pci.CommonConfigurationRegister;
using Status = VirtioSharp.Spec.DeviceStatus;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>What drivers do wrong with the modern registers, and what becomes of it.</summary>
[Proves("Hostile driver", "in-process PCI, modern")]
public sealed class ModernHostileDriverTests : IDisposable
{
    private readonly ScriptedFunctionDevice _device = new();
    private readonly Reasons _reasons = new();
    private readonly ModernHand _hand;

    public ModernHostileDriverTests() =>
        _hand = new ModernHand(_device, new VirtioPciOptions { Host = new DeviceHostOptions { Observer = _reasons } });

    [Fact]
    public void A_queue_that_does_not_exist_has_no_size_and_no_vector_and_swallows_writes()
    {
        _hand.Machine.UseMsix();
        _hand.Negotiate(Features.Version1 | Features.RingReset);
        foreach (uint queue in (uint[])[2, 3, 0x7FFF, 0xFFFF])
        {
            _hand.Write(QueueSelect, 2, queue);
            for (int register = QueueSize; register < Size; register += 2)
            {
                _hand.Write(register, 2, 1);
                _hand.Write(register, 4, 1);
            }

            Assert.Equal((0u, 0xFFFFu, 0u), (_hand.Read(QueueSize, 2), _hand.Read(QueueVector, 2), _hand.Read(QueueEnable, 2)));
            Assert.Equal((0u, 0u, 0u), (_hand.Read(QueueDescriptorArea, 4), _hand.Read(QueueNotifyOffset, 2), _hand.Read(QueueReset, 2)));
            _hand.Bar.Write(0x3000 + 4 * queue % 0x1000, 2, queue);
        }

        Assert.Equal(Status.Acknowledge | Status.Driver | Status.FeaturesOk, _hand.Status);
    }

    [Theory]
    [InlineData(3u)]
    [InlineData(0x7FFu)]
    [InlineData(0x800u)]
    [InlineData(0xFFFEu)]
    [InlineData(0xFFFFu)]
    public void A_vector_that_does_not_exist_reads_back_as_NO_VECTOR(uint vector)
    {
        _hand.Machine.UseMsix();
        _hand.Write(ConfigurationVector, 2, 1);
        _hand.Write(QueueVector, 2, 2);

        _hand.Write(ConfigurationVector, 2, vector);
        _hand.Write(QueueVector, 2, vector);

        Assert.Equal((0xFFFFu, 0xFFFFu), (_hand.Read(ConfigurationVector, 2), _hand.Read(QueueVector, 2)));
    }

    [Fact]
    public void The_fields_of_an_enabled_queue_do_not_change_except_its_vector()
    {
        _hand.Machine.UseMsix();
        HandRing ring = _hand.Start();

        _hand.Write(QueueSize, 2, 16);
        _hand.Write64(QueueDescriptorArea, 0);
        _hand.Write64(QueueDriverArea, 0);
        _hand.Write64(QueueDeviceArea, 0);
        _hand.Write(QueueEnable, 2, 0);
        _hand.Write(QueueVector, 2, 1);

        Assert.Equal((8u, 1u, 1u), (_hand.Read(QueueSize, 2), _hand.Read(QueueEnable, 2), _hand.Read(QueueVector, 2)));
        Assert.Equal((uint)ring.Descriptors.Value, _hand.Read(QueueDescriptorArea, 4));
        Assert.Equal((uint)ring.Available.Value, _hand.Read(QueueDriverArea, 4));
        Assert.Equal((uint)ring.Used.Value, _hand.Read(QueueDeviceArea, 4));
        ring.Add();
        _hand.Notify(0);
        Assert.Equal(1, ring.UsedIndex);
    }

    [Theory]
    [InlineData(QueueDescriptorArea, 0x1_0000_0008ul, "descriptor area = 0x100000008 is not aligned to 16")]
    [InlineData(QueueDriverArea, 0x1_0000_0001ul, "driver area = 0x100000001 is not aligned to 2")]
    [InlineData(QueueDeviceArea, 0x1_0000_0002ul, "device area = 0x100000002 is not aligned to 4")]
    [InlineData(QueueDescriptorArea, 0ul, "descriptor area = 0x0, 128 bytes, is not in one piece of guest memory")]
    [InlineData(QueueDeviceArea, 0xFFFF_FFFF_FFFF_FFFCul, "device area = 0xfffffffffffffffc, 70 bytes, is not in one piece of guest memory")]
    [InlineData(QueueSize, 7ul, "queue size = 7 is not a power of two in 1…32768")]
    [InlineData(QueueSize, 0ul, "queue size = 0 is not a power of two in 1…32768")]
    [InlineData(QueueSize, 128ul, "queue size = 128 of queue 0 is more than the device's 64")]
    public void A_queue_that_cannot_be_stays_disabled_and_the_device_says_why(int register, ulong value, string reason)
    {
        _hand.Negotiate(Features.Version1);
        _hand.LayOut(0, 8);
        if (register == QueueSize)
            _hand.Write(QueueSize, 2, (uint)value);
        else
            _hand.Write64(register, value);

        _hand.Write(QueueEnable, 2, 1);

        Assert.Equal(0u, _hand.Read(QueueEnable, 2));
        Assert.Equal(Status.NeedsReset, _hand.Status & Status.NeedsReset);
        Assert.Equal(reason, Assert.Single(_reasons.All));
        HandRing ring = _hand.Start();
        ring.Add();
        _hand.Notify(0);
        Assert.Equal(1, ring.UsedIndex);
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(7u)]
    [InlineData(65u)]
    [InlineData(128u)]
    [InlineData(0xFFFFu)]
    public void A_size_that_cannot_be_does_not_read_back(uint size)
    {
        _hand.Negotiate(Features.Version1);

        _hand.Write(QueueSize, 2, size);

        Assert.Equal(64u, _hand.Read(QueueSize, 2));
    }

    [Fact]
    public void A_packed_queue_may_have_a_size_that_is_no_power_of_two()
    {
        _hand.Negotiate(Features.Version1 | Features.RingPacked);

        _hand.Write(QueueSize, 2, 7);

        Assert.Equal(7u, _hand.Read(QueueSize, 2));
    }

    [Fact]
    public void A_split_queue_is_offered_as_a_power_of_two_whatever_the_device_has()
    {
        using var hand = new ModernHand(new ScriptedFunctionDevice(maxSize: 100));
        Assert.Equal(64u, hand.Read(QueueSize, 2));

        hand.Negotiate(Features.Version1 | Features.RingPacked);

        Assert.Equal(100u, hand.Read(QueueSize, 2));
    }

    [Fact]
    public void A_queue_cannot_be_enabled_before_the_features_are_known()
    {
        _hand.Status = Status.Acknowledge | Status.Driver;

        _hand.EnableQueue(0, 8);

        Assert.Equal(0u, _hand.Read(QueueEnable, 2));
        Assert.False(_hand.Function.Host.IsEnabled(0));
    }

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(0xFFFFu)]
    public void Only_1_enables_a_queue(uint value)
    {
        _hand.Negotiate(Features.Version1);
        _hand.LayOut(0, 8);

        _hand.Write(QueueEnable, 2, value);

        Assert.Equal((0u, Status.Reset), (_hand.Read(QueueEnable, 2), _hand.Status & Status.NeedsReset));
    }

    [Fact]
    public void Features_do_not_change_after_FEATURES_OK()
    {
        _hand.Negotiate(Features.Version1);

        _hand.Accept(Features.Version1 | Features.RingPacked);

        Assert.Equal(Features.Version1, _hand.Function.Host.DriverFeatures);
        _hand.Write(DriverFeatureSelect, 4, 1);
        Assert.Equal(1u, _hand.Read(DriverFeature, 4));
    }

    [Fact]
    public void Features_that_were_not_offered_are_refused()
    {
        Assert.Equal(Status.Reset, _hand.Negotiate(Features.Version1 | FeatureSet.Bit(7)) & Status.FeaturesOk);
        Assert.Equal(Status.Reset, _hand.Negotiate(FeatureSet.Bit(5)) & Status.FeaturesOk);
        Assert.Equal(Status.FeaturesOk, _hand.Negotiate(Features.Version1) & Status.FeaturesOk);
    }

    [Theory]
    [InlineData(4u)]
    [InlineData(0x8000_0000u)]
    [InlineData(0xFFFF_FFFFu)]
    public void Words_of_features_that_do_not_exist_read_zero_and_swallow_writes(uint select)
    {
        _hand.Write(DeviceFeatureSelect, 4, select);
        _hand.Write(DriverFeatureSelect, 4, select);
        _hand.Write(DriverFeature, 4, 0xFFFF_FFFF);

        Assert.Equal((0u, 0u), (_hand.Read(DeviceFeature, 4), _hand.Read(DriverFeature, 4)));
        Assert.True(_hand.Function.Host.DriverFeatures.IsEmpty);
    }

    [Fact]
    public void The_status_loses_no_bit_but_by_a_reset()
    {
        _hand.Start();

        _hand.Write(CommonConfigurationRegister.DeviceStatus, 1, 1);
        Assert.Equal(Status.Acknowledge | Status.Driver | Status.FeaturesOk | Status.DriverOk, _hand.Status);
        _hand.Write(CommonConfigurationRegister.DeviceStatus, 1, 0);
        Assert.Equal(Status.Reset, _hand.Status);
    }

    [Fact]
    public void Read_only_fields_swallow_writes()
    {
        uint[] before = All();

        foreach ((int register, int width) in (ReadOnlySpan<(int, int)>)[
            (DeviceFeature, 4), (QueueCount, 2), (ConfigurationGeneration, 1), (QueueNotifyOffset, 2), (QueueNotifyData, 2), (AdminQueueIndex, 2), (AdminQueueCount, 2)])
            _hand.Write(register, width, 0xFFFF_FFFF);

        Assert.Equal(before, All());
    }

    [Fact]
    public void Accesses_of_the_wrong_width_or_misaligned_read_zero_and_write_nothing()
    {
        uint[] before = All();
        for (int offset = 0; offset < Size + 8; offset++)
        {
            foreach (int width in (int[])[1, 2, 3, 4, 8])
            {
                if (IsField(offset, width))
                    continue;
                _hand.Bar.Write((ulong)offset, width, 0xFFFF_FFFF);
                if (width is 1 or 2 or 4)
                    Assert.Equal(0u, _hand.Bar.Read((ulong)offset, width));
            }
        }

        Assert.Equal(before, All());
    }

    [Theory]
    [InlineData(1, 0u)]
    [InlineData(2, 2u)]
    [InlineData(2, 8u)]
    [InlineData(4, 0xFFCu)]
    [InlineData(1, 0xFFFu)]
    public void Odd_notifications_are_ignored(int width, uint offset)
    {
        HandRing ring = _hand.Start();
        ring.Add();

        _hand.Bar.Write(0x3000 + offset, width, 0);

        Assert.Equal(0, ring.UsedIndex);
        Assert.Equal(0u, _hand.Bar.Read(0x3000 + (offset & ~3u), 4));
    }

    [Fact]
    public void A_notification_before_DRIVER_OK_is_kept()
    {
        _hand.Negotiate(Features.Version1);
        HandRing ring = _hand.EnableQueue(0, 8);
        ring.Add();
        _hand.Notify(0);
        Assert.Equal(0, ring.UsedIndex);

        _hand.Status |= Status.DriverOk;

        Assert.True(_hand.Machine.Interrupts.Wait(TimeSpan.FromSeconds(30)));
        Assert.Equal(1, ring.UsedIndex);
    }

    [Fact]
    [Proves("NEEDS_RESET", "in-process PCI, modern")]
    public void A_broken_ring_is_NEEDS_RESET_and_a_configuration_interrupt()
    {
        HandRing ring = _hand.Start();
        for (int i = 0; i < 9; i++)
            ring.Add(); // one more than there are entries

        _hand.Notify(0);

        Assert.Equal(Status.NeedsReset, _hand.Status & Status.NeedsReset);
        Assert.Equal(2u, _hand.ReadIsr() & 2);
        Assert.Equal(1u, _hand.Read(QueueEnable, 2)); // only a reset disables
    }

    [Fact]
    public void Without_bus_mastering_the_device_sees_no_memory()
    {
        _hand.Machine.Command = PciCommand.MemorySpace;
        _hand.Negotiate(Features.Version1);
        _hand.EnableQueue(0, 8);
        Assert.Equal((0u, Status.NeedsReset), (_hand.Read(QueueEnable, 2), _hand.Status & Status.NeedsReset));

        _hand.Machine.Command |= PciCommand.BusMaster;
        HandRing ring = _hand.Start();
        ring.Add();
        _hand.Machine.Command = PciCommand.MemorySpace;
        _hand.Notify(0);

        Assert.Equal(0, ring.UsedIndex);
        Assert.Equal(Status.NeedsReset, _hand.Status & Status.NeedsReset);
    }

    [Fact]
    public void A_queue_is_not_reset_without_RING_RESET_or_by_another_value()
    {
        _hand.Start();
        _hand.Write(QueueReset, 2, 1);
        Assert.Equal(1u, _hand.Read(QueueEnable, 2));

        _hand.Start(features: Features.RingReset);
        _hand.Write(QueueReset, 2, 2);
        _hand.Write(QueueReset, 2, 0);
        Assert.Equal(1u, _hand.Read(QueueEnable, 2));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void After_any_accesses_at_all_a_reset_makes_the_device_whole(int seed)
    {
        var random = new Random(seed);
        PciMachine machine = _hand.Machine;
        for (int i = 0; i < 50_000; i++)
        {
            int width = 1 << random.Next(3);
            uint value = random.Next(3) switch { 0 => (uint)random.Next(4), 1 => 1u << random.Next(32), _ => (uint)random.NextInt64(1L << 32) };
            ulong offset = (ulong)random.Next(0x40) + (ulong)random.Next(5) * 0x1000;
            switch (random.Next(6))
            {
                case 0:
                    machine.Write(random.Next(PciConfigurationRegister.FirstCapability, 256), width, value);
                    break;
                case 1:
                    machine.Read(random.Next(-4, 260), width);
                    break;
                case 2:
                    machine.Bar(1).Write((ulong)random.Next(0x1000), width, value);
                    break;
                case 3:
                    _hand.Bar.Read(offset, width);
                    break;
                default:
                    _hand.Bar.Write(offset, width, value);
                    break;
            }
        }

        HandRing ring = _hand.Start();
        ring.Add();
        _hand.Notify(0);
        Assert.Equal(1, ring.UsedIndex);
    }

    public void Dispose() => _hand.Dispose();

    private static bool IsField(int offset, int width) => offset < Size && width == offset switch
    {
        CommonConfigurationRegister.DeviceStatus or ConfigurationGeneration => 1,
        >= ConfigurationVector and < QueueDescriptorArea or >= QueueNotifyData => offset % 2 == 0 ? 2 : 0,
        _ => offset % 4 == 0 ? 4 : 0,
    };

    private uint[] All() =>
    [
        .. from offset in Enumerable.Range(0, Size)
           from width in (int[])[1, 2, 4]
           where IsField(offset, width)
           select _hand.Read(offset, width),
    ];

    private sealed class Reasons : IDeviceObserver
    {
        public List<string> All { get; } = [];

        public void ChainFaulted(int queue, ChainFault fault)
        {
        }

        public void NeedsReset(int queue, Exception reason) => All.Add(reason.Message);
    }
}
