using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Tests.Pci.Support;
using Xunit;
using static VirtioSharp.Spec.Pci.LegacyPciRegister;
using Status = VirtioSharp.Spec.DeviceStatus;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>The legacy interface: rules kept, and rules broken (§4.1.4.10).</summary>
public sealed class LegacyRegisterTests : IDisposable
{
    private const int StatusRegister = LegacyPciRegister.DeviceStatus;

    private readonly ScriptedFunctionDevice _device = new();
    private readonly LegacyHand _hand;

    public LegacyRegisterTests() => _hand = new LegacyHand(_device);

    [Fact]
    public void A_legacy_function_has_no_virtio_capabilities()
    {
        Assert.Equal(0, _hand.Machine.FindCapability(PciCapabilityId.Vendor));
        Assert.NotEqual(0, _hand.Machine.FindCapability(PciCapabilityId.MsiX));
        Assert.Equal(0u, _hand.Machine.SizeOf(4));
    }

    [Fact]
    [Proves("Feature negotiation", "in-process PCI, legacy")]
    public void The_first_32_features_are_shown_with_those_for_legacy_drivers()
    {
        FeatureSet expected = Features.IndirectDesc | Features.EventIdx | Features.AnyLayout | Features.NotifyOnEmpty | FeatureSet.Bit(5);

        Assert.Equal(expected.Word(0), _hand.Read(DeviceFeatures, 4));
        _hand.Start(expected.Word(0));

        Assert.Equal(expected.Word(0), _hand.Read(DriverFeatures, 4));
        Assert.Equal(expected, _hand.Machine.Function.Host.DriverFeatures);
        Assert.Equal(Status.Acknowledge | Status.Driver | Status.DriverOk, _hand.Status);
    }

    [Fact]
    public void Features_that_were_not_offered_keep_the_device_from_starting()
    {
        _hand.Start(1u << 7);

        Assert.Equal(Status.Reset, _hand.Status & Status.DriverOk);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Proves("Legacy ring layout", "in-process PCI, legacy")]
    public void A_queue_lies_in_the_page_that_was_written(bool msix)
    {
        if (msix)
            _hand.Machine.UseMsix();
        _hand.Start();
        HandRing ring = _hand.EnableQueue(1);
        if (msix)
            _hand.Write(QueueVector, 2, 1);

        Assert.Equal((uint)(ring.Whole.Address.Value >> 12), _hand.Read(QueuePage, 4));
        ring.Add();
        _hand.Notify(1);

        Assert.Equal((1, 2), (ring.UsedIndex, ring.BufferOf(0)[0]));
        Assert.Equal(msix, _hand.Machine.Interrupts.TakeMessage(1));
        Assert.Equal(msix ? 0u : 1u, _hand.ReadIsr());
    }

    [Fact]
    public void Device_configuration_moves_when_MSI_X_is_enabled_and_back()
    {
        Assert.Equal(0x0403_0201u, _hand.Read(DeviceConfiguration, 4));

        _hand.Machine.SetMsix(MsixLayout.Enable);
        Assert.Equal(0xFFFFu, _hand.Read(ConfigurationVector, 2));
        Assert.Equal(0x0403_0201u, _hand.Read(DeviceConfigurationWithMsix, 4));

        _hand.Machine.SetMsix(0);
        Assert.Equal(0x0403_0201u, _hand.Read(DeviceConfiguration, 4));
        Assert.Equal(8u, _hand.Read(DeviceConfiguration + 7, 1));
        Assert.Equal(0u, _hand.Read(DeviceConfiguration + 8, 4)); // behind it
    }

    [Fact]
    public void Device_configuration_is_accessed_at_every_width_and_place()
    {
        Assert.Equal(0x0504_0302u, _hand.Read(DeviceConfiguration + 1, 4));
        Assert.Equal(0x0706u, _hand.Read(DeviceConfiguration + 5, 2));

        _hand.Write(DeviceConfiguration + 1, 2, 0xBBAA);
        _hand.Write(DeviceConfiguration + 6, 4, 0xFFFF_FFFF); // across its end

        Assert.Equal([1, 0xAA, 0xBB, 4, 5, 6, 7, 8], _device.Bytes);
    }

    [Fact]
    public void Page_0_takes_the_queue_back_and_another_page_moves_it()
    {
        HandRing first = _hand.Start();
        first.Add();
        _hand.Notify(0);

        HandRing second = _hand.EnableQueue(0);
        second.Add();
        _hand.Notify(0);
        Assert.Equal((1, 1), (first.UsedIndex, second.UsedIndex));

        _hand.Write(QueuePage, 4, 0);
        second.Add();
        _hand.Notify(0);
        Assert.Equal((1, 0u), (second.UsedIndex, _hand.Read(QueuePage, 4)));
        Assert.False(_hand.Machine.Function.Host.IsEnabled(0));
        Assert.Equal(Status.Reset, _hand.Status & Status.NeedsReset);
    }

    [Fact]
    public void A_driver_may_use_the_device_before_it_sets_DRIVER_OK()
    {
        _hand.Status = Status.Acknowledge | Status.Driver;
        HandRing ring = _hand.EnableQueue(0);
        ring.Add();

        _hand.Notify(0);
        Assert.Equal((1, 1u), (ring.UsedIndex, _hand.ReadIsr()));
        _hand.Write(DriverFeatures, 4, 1 << 5); // too late: they are final
        _hand.Status |= Status.DriverOk;
        ring.Add();
        _hand.Notify(0);

        Assert.Equal((2, 1, 0u), (ring.UsedIndex, _device.Starts, _hand.Read(DriverFeatures, 4)));
        _hand.Status = Status.Reset;
        ring.Add();
        _hand.Notify(0);
        Assert.Equal(2, ring.UsedIndex);
    }

    [Fact]
    public void ISR_status_is_cleared_and_the_line_lowered_by_a_read()
    {
        _hand.Start();

        _device.Change(9);

        Assert.True(_hand.Machine.Interrupts.IsLineRaised);
        Assert.Equal(2u, _hand.ReadIsr());
        Assert.Equal(0u, _hand.ReadIsr());
        Assert.False(_hand.Machine.Interrupts.IsLineRaised);
    }

    [Fact]
    public void A_reset_takes_queues_and_vectors_back()
    {
        _hand.Machine.UseMsix();
        _hand.Start();
        _hand.Write(ConfigurationVector, 2, 2);
        _hand.Write(QueueVector, 2, 1);
        _hand.Write(QueueSelect, 2, 1);

        _hand.Status = Status.Reset;

        Assert.Equal((0u, 0u), (_hand.Read(QueueSelect, 2), _hand.Read(QueuePage, 4)));
        Assert.Equal((0xFFFFu, 0xFFFFu), (_hand.Read(ConfigurationVector, 2), _hand.Read(QueueVector, 2)));
    }

    [Fact]
    [Proves("Hostile driver", "in-process PCI, legacy")]
    public void A_queue_that_does_not_exist_has_no_size_and_no_vector_and_swallows_writes()
    {
        _hand.Machine.UseMsix();
        _hand.Start();
        _hand.Write(QueueSelect, 2, 0xFFFF);
        _hand.Write(QueuePage, 4, 0x100000);
        _hand.Write(QueueVector, 2, 1);
        _hand.Notify(0xFFFF);

        Assert.Equal((0u, 0u, 0xFFFFu), (_hand.Read(QueueSize, 2), _hand.Read(QueuePage, 4), _hand.Read(QueueVector, 2)));
        Assert.Equal(Status.Reset, _hand.Status & Status.NeedsReset);
    }

    [Theory]
    [InlineData(1u)]
    [InlineData(0x10_03FFu)] // its end is beyond memory
    [InlineData(0xFFFF_FFFFu)]
    [Proves("Hostile driver", "in-process PCI, legacy")]
    public void A_page_that_is_not_in_memory_is_NEEDS_RESET(uint page)
    {
        _hand.Start();

        _hand.Write(QueuePage, 4, page);

        Assert.Equal((0u, Status.NeedsReset), (_hand.Read(QueuePage, 4), _hand.Status & Status.NeedsReset));
        HandRing ring = _hand.Start();
        ring.Add();
        _hand.Notify(0);
        Assert.Equal(1, ring.UsedIndex);
    }

    [Fact]
    [Proves("Hostile driver", "in-process PCI, legacy")]
    public void A_vector_that_does_not_exist_reads_back_as_NO_VECTOR()
    {
        _hand.Machine.UseMsix();

        _hand.Write(ConfigurationVector, 2, 3);
        _hand.Write(QueueVector, 2, 0x7FF);

        Assert.Equal((0xFFFFu, 0xFFFFu), (_hand.Read(ConfigurationVector, 2), _hand.Read(QueueVector, 2)));
    }

    [Fact]
    [Proves("Hostile driver", "in-process PCI, legacy")]
    public void Accesses_of_the_wrong_width_read_zero_and_write_nothing()
    {
        HandRing ring = _hand.Start();
        ring.Add();
        foreach (int offset in Enumerable.Range(0, DeviceConfiguration))
        {
            foreach (int width in (int[])[1, 2, 3, 4])
            {
                int right = offset switch { 0 or 4 or 8 => 4, 0xC or 0xE or 0x10 => 2, 0x12 or 0x13 => 1, _ => 0 };
                if (width == right)
                    continue;
                _hand.Write(offset, width, 0);
                if (width != 3 && offset + width <= DeviceConfiguration)
                    Assert.Equal(0u, _hand.Read(offset, width));
            }
        }

        Assert.Equal(Status.DriverOk, _hand.Status & Status.DriverOk);
        Assert.Equal(0, ring.UsedIndex);
        _hand.Notify(0);
        Assert.Equal(1, ring.UsedIndex);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [Proves("Hostile driver", "in-process PCI, legacy")]
    public void After_any_accesses_at_all_a_reset_makes_the_device_whole(int seed)
    {
        var random = new Random(seed);
        for (int i = 0; i < 50_000; i++)
        {
            int width = 1 << random.Next(3);
            uint value = random.Next(2) == 0 ? (uint)random.Next(4) : (uint)random.NextInt64(1L << 32);
            switch (random.Next(8))
            {
                case 0:
                    _hand.Machine.SetMsix((ushort)value);
                    break;
                case 1:
                    _hand.Read(random.Next(0x28), width);
                    break;
                default:
                    _hand.Write(random.Next(0x28), width, value);
                    break;
            }
        }

        _hand.Machine.SetMsix(0);
        HandRing ring = _hand.Start();
        ring.Add();
        _hand.Notify(0);
        Assert.Equal((1, 1u), (ring.UsedIndex, _hand.ReadIsr()));
    }

    [Fact]
    public void A_transitional_function_has_both_interfaces_to_the_same_device()
    {
        using var hand = new ModernHand(new ScriptedFunctionDevice(), new VirtioPciOptions { Interface = VirtioPciInterface.Transitional });
        IRegisterWindow legacy = hand.Machine.Bar(0);

        Assert.False(hand.ReadOffered().Has(Features.AnyLayout) || hand.ReadOffered().Has(Features.NotifyOnEmpty));
        Assert.Equal(Status.Reset, hand.Negotiate(FeatureSet.Bit(5)) & Status.FeaturesOk); // through the modern interface VERSION_1 is a must
        HandRing ring = hand.Start();
        Assert.Equal((uint)hand.Status, legacy.Read(StatusRegister, 1));
        ring.Add();
        legacy.Write(QueueNotify, 2, 0);
        Assert.Equal(1, ring.UsedIndex);
        legacy.Write(StatusRegister, 1, 0);
        Assert.Equal(Status.Reset, hand.Status);
    }

    public void Dispose() => _hand.Dispose();

    [Fact]
    [Proves("Hostile driver", "in-process PCI, legacy")]
    public void A_page_for_a_queue_whose_format_has_no_pages_is_needs_reset()
    {
        // A packed ring of 6 entries may be, but no legacy layout has room for 6.
        using var hand = new ModernHand(new ScriptedFunctionDevice(maxSize: 6), new VirtioPciOptions { Interface = VirtioPciInterface.Transitional });
        Assert.Equal(Status.FeaturesOk, hand.Negotiate(Features.Version1 | Features.RingPacked) & Status.FeaturesOk);
        hand.Status |= Status.DriverOk;

        hand.Machine.Bar(0).Write(QueuePage, 4, 0x100);

        Assert.Equal(Status.NeedsReset, hand.Status & Status.NeedsReset);
        Assert.Equal(0u, hand.Machine.Bar(0).Read(QueuePage, 4));
    }
}
