using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>The device half of version 2, register by register (§4.2.2).</summary>
[Proves("virtio-mmio registers", "in-process MMIO")]
public sealed class RegisterTests : IDisposable
{
    private readonly Panel _panel = new();

    public void Dispose() => _panel.Dispose();

    [Fact]
    public void A_window_says_what_it_is()
    {
        Assert.Equal(0x74726976u, _panel[MmioRegister.MagicValue]);
        Assert.Equal(2u, _panel[MmioRegister.Version]);
        Assert.Equal(3u, _panel[MmioRegister.DeviceId]);
        Assert.Equal("VSVP", System.Text.Encoding.ASCII.GetString(BitConverter.GetBytes(_panel[MmioRegister.VendorId])));
        Assert.Equal(0x200ul, _panel.Machine.Length);
    }

    [Fact]
    public void Device_features_are_shown_by_the_word_and_zero_after_the_last()
    {
        FeatureSet offered = DeviceHostOptions.AllRingFeatures | _panel.Device.Traits.Features;
        for (uint word = 0; word < 6; word++)
        {
            _panel[MmioRegister.DeviceFeaturesSelect] = word;
            Assert.Equal(offered.Word(word), _panel[MmioRegister.DeviceFeatures]);
        }

        _panel[MmioRegister.DeviceFeaturesSelect] = uint.MaxValue;
        Assert.Equal(0u, _panel[MmioRegister.DeviceFeatures]);
    }

    [Fact]
    public void Driver_features_are_written_by_the_word_until_FEATURES_OK()
    {
        FeatureSet accepted = FeatureSet.Bit(5) | FeatureSet.Bit(63) | FeatureSet.Bit(70);
        _panel.Negotiate(accepted);
        Assert.Equal(accepted | Features.Version1, _panel.Host.DriverFeatures);
        Assert.Equal(Panel.Acknowledge | Panel.Driver | Panel.FeaturesOk, _panel[MmioRegister.Status]);

        _panel[MmioRegister.DriverFeaturesSelect] = 0;
        _panel[MmioRegister.DriverFeatures] = 0;

        Assert.Equal(accepted | Features.Version1, _panel.Host.DriverFeatures);
    }

    [Fact]
    public void FEATURES_OK_is_withheld_from_features_that_were_not_offered()
    {
        _panel.Negotiate(FeatureSet.Bit(7));

        Assert.Equal(Panel.Acknowledge | Panel.Driver, _panel[MmioRegister.Status]);
    }

    [Fact]
    public void FEATURES_OK_is_withheld_from_a_driver_without_VERSION_1()
    {
        _panel[MmioRegister.Status] = Panel.Acknowledge | Panel.Driver;
        _panel[MmioRegister.Status] = Panel.Acknowledge | Panel.Driver | Panel.FeaturesOk;

        Assert.Equal(Panel.Acknowledge | Panel.Driver, _panel[MmioRegister.Status]);
    }

    [Fact]
    public void Queues_have_sizes_and_those_that_are_not_there_have_none()
    {
        uint[] sizes = [.. new uint[] { 0, 1, 2, 0x8000_0000, uint.MaxValue }.Select(queue =>
        {
            _panel[MmioRegister.QueueSelect] = queue;
            return _panel[MmioRegister.QueueSizeMax];
        })];

        Assert.Equal([64, 16, 0, 0, 0], sizes);
    }

    [Fact]
    public void A_queue_is_enabled_with_what_was_written_and_reads_back()
    {
        _panel.Negotiate();
        _panel.Place(queue: 1, size: 8);
        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);

        _panel[MmioRegister.QueueReady] = 1;

        Assert.Equal(1u, _panel[MmioRegister.QueueReady]);
        Assert.True(_panel.Host.IsEnabled(1));
        Assert.False(_panel.Host.IsEnabled(0));
        _panel[MmioRegister.QueueSelect] = 0;
        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);
    }

    [Fact]
    public void A_queue_that_is_stopped_reads_not_ready_and_can_be_enabled_again()
    {
        _panel.Start();

        _panel[MmioRegister.QueueReady] = 0;
        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);
        Assert.False(_panel.Host.IsEnabled(0));
        _panel[MmioRegister.QueueReady] = 1;

        Assert.Equal(1u, _panel[MmioRegister.QueueReady]);
    }

    [Fact]
    [Proves("RING_RESET", "in-process MMIO")]
    public void A_queue_that_was_reset_is_not_ready_and_forgets_where_it_was()
    {
        _panel.Start(Features.RingReset);

        _panel[MmioRegister.QueueReset] = 1;

        Assert.Equal((0u, 0u), (_panel[MmioRegister.QueueReset], _panel[MmioRegister.QueueReady]));
        _panel[MmioRegister.QueueReady] = 1; // all three areas at 0
        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);
        Assert.NotNull(_panel.Complaint);
    }

    [Theory]
    [InlineData(false, 1)]
    [InlineData(true, 0)]
    [InlineData(true, 2)]
    public void A_queue_is_not_reset_without_RING_RESET_or_by_another_value_than_1(bool negotiated, uint value)
    {
        _panel.Start(negotiated ? Features.RingReset : default);

        _panel[MmioRegister.QueueReset] = value;

        Assert.Equal(1u, _panel[MmioRegister.QueueReady]);
    }

    [Fact]
    public void Shared_memory_is_not_there()
    {
        _panel[MmioRegister.SharedMemorySelect] = 1;

        foreach (int register in new[] { MmioRegister.SharedMemoryLength, MmioRegister.SharedMemoryBase })
            Assert.Equal((uint.MaxValue, uint.MaxValue), (_panel[register], _panel[register + 4]));
    }

    [Fact]
    public void A_reset_clears_everything()
    {
        _panel.Start();
        _panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer | InterruptStatus.ConfigurationChange);

        _panel[MmioRegister.Status] = 0;

        Assert.Equal((0u, 0u), (_panel[MmioRegister.Status], _panel[MmioRegister.InterruptStatus]));
        Assert.False(_panel.Machine.IsRaised);
        _panel[MmioRegister.QueueSelect] = 0;
        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);
        Assert.True(_panel.Host.DriverFeatures.IsEmpty);
    }

    [Fact]
    public void The_generation_changes_with_configuration_space()
    {
        _panel.Start();
        uint before = _panel[MmioRegister.ConfigurationGeneration];

        _panel.Device.Change();

        Assert.NotEqual(before, _panel[MmioRegister.ConfigurationGeneration]);
        Assert.Equal((uint)InterruptStatus.ConfigurationChange, _panel[MmioRegister.InterruptStatus]);
    }
}
