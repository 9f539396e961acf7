using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>What a driver must not do (§4.2.2.2), and what becomes of it.</summary>
[Proves("Hostile driver", "in-process MMIO")]
public sealed class HostileMmioDriverTests : IDisposable
{
    private const uint Started = Panel.Acknowledge | Panel.Driver | Panel.FeaturesOk | Panel.DriverOk;

    private readonly Panel _panel = new();

    public static TheoryData<uint, ulong, ulong, ulong, string> Impossible => new()
    {
        { 0, Panel.Ring, Panel.Ring + 0x1000, Panel.Ring + 0x2000, "queue size = 0" },
        { 7, Panel.Ring, Panel.Ring + 0x1000, Panel.Ring + 0x2000, "queue size = 7" },
        { 128, Panel.Ring, Panel.Ring + 0x1000, Panel.Ring + 0x2000, "more than the device's 64" },
        { 0xFFFF_FFFF, Panel.Ring, Panel.Ring + 0x1000, Panel.Ring + 0x2000, "more than the device's 64" },
        { 0x8000_0000, Panel.Ring, Panel.Ring + 0x1000, Panel.Ring + 0x2000, "more than the device's 64" },
        { 16, Panel.Ring + 8, Panel.Ring + 0x1000, Panel.Ring + 0x2000, "descriptor area = 0x100000008 is not aligned" },
        { 16, Panel.Ring, Panel.Ring + 0x1001, Panel.Ring + 0x2000, "driver area = 0x100001001 is not aligned" },
        { 16, Panel.Ring, Panel.Ring + 0x1000, Panel.Ring + 0x2002, "device area = 0x100002002 is not aligned" },
        { 16, 0, Panel.Ring + 0x1000, Panel.Ring + 0x2000, "descriptor area = 0x0, 256 bytes, is not in" },
        { 16, Panel.Ring, 0xFFFF_FFFF_FFFF_FFFE, Panel.Ring + 0x2000, "driver area = 0xfffffffffffffffe, 38 bytes" },
        { 16, Panel.Ring, Panel.Ring, Panel.Ring + 0x2000, "overlaps" },
    };

    public void Dispose() => _panel.Dispose();

    [Theory]
    [MemberData(nameof(Impossible))]
    public void A_queue_that_cannot_be_stays_off_and_the_device_says_so(uint size, ulong descriptors, ulong driver, ulong device, string complaint)
    {
        _panel.Negotiate();
        _panel.Place(0, size, descriptors, driver, device);

        _panel[MmioRegister.QueueReady] = 1;

        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);
        Assert.Equal(Panel.NeedsReset, _panel[MmioRegister.Status] & Panel.NeedsReset);
        Assert.Contains(complaint, _panel.Complaint, StringComparison.Ordinal);
        _panel.Start(); // the next session is not worse for it
        Assert.Equal(Started, _panel[MmioRegister.Status]);
        Assert.Equal(1u, _panel[MmioRegister.QueueReady]);
    }

    [Fact]
    public void A_queue_is_not_enabled_before_FEATURES_OK()
    {
        _panel[MmioRegister.Status] = Panel.Acknowledge | Panel.Driver;
        _panel.Place();

        _panel[MmioRegister.QueueReady] = 1;

        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);
        Assert.Equal(Panel.Acknowledge | Panel.Driver, _panel[MmioRegister.Status]);
        Assert.Null(_panel.Complaint); // it does no harm: as with PCI, the register just does not take it
    }

    [Fact]
    public void A_broken_ring_is_NEEDS_RESET_with_an_interrupt_and_QueueReady_reads_what_was_written()
    {
        _panel.Start();
        _panel.Machine.Dma.Allocate(0x2000).Span[0x1002..0x1004].Fill(0x7F); // an available index beyond the queue

        _panel[MmioRegister.QueueNotify] = 0;

        Assert.Equal(Started | Panel.NeedsReset, _panel[MmioRegister.Status]);
        Assert.Equal(2u, _panel[MmioRegister.InterruptStatus]);
        Assert.Equal(1u, _panel[MmioRegister.QueueReady]);
        _panel[MmioRegister.QueueReady] = 0;
        Assert.Equal(0u, _panel[MmioRegister.QueueReady]);
    }

    [Fact]
    public void A_notification_before_DRIVER_OK_is_kept()
    {
        _panel.Negotiate();
        _panel.Place();
        _panel[MmioRegister.QueueReady] = 1;
        _panel.Machine.Dma.Allocate(0x2000).Span[0x1002] = 1; // one chain: descriptor 0, which is all zeros

        _panel[MmioRegister.QueueNotify] = 0;
        Assert.Equal(0, _panel.Device.Chains);
        _panel[MmioRegister.Status] = Started;
        _panel.Machine.Wait(TimeSpan.Zero); // the loop's turn

        Assert.Equal(1ul, _panel.Host.Statistics(0).Chains);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(0x8000_0000)]
    [InlineData(uint.MaxValue)]
    public void Registers_of_an_absent_queue_swallow_everything(uint queue)
    {
        _panel.Negotiate();
        _panel.Place(queue);

        _panel[MmioRegister.QueueReady] = 1;
        _panel[MmioRegister.QueueReset] = 1;
        _panel[MmioRegister.QueueNotify] = queue;

        Assert.Equal((0u, 0u), (_panel[MmioRegister.QueueSizeMax], _panel[MmioRegister.QueueReady]));
        Assert.Null(_panel.Complaint);
    }

    [Fact]
    public void A_queue_in_use_stays_where_it_is()
    {
        _panel.Start();
        _panel.Place(0, size: 7, descriptors: 1, driver: 2, device: 3);
        _panel[MmioRegister.QueueReady] = 1; // again
        _panel[MmioRegister.QueueReady] = 2; // neither

        Assert.Equal(1u, _panel[MmioRegister.QueueReady]);
        _panel[MmioRegister.QueueReady] = 0;
        _panel[MmioRegister.QueueReady] = 1;
        Assert.Equal(1u, _panel[MmioRegister.QueueReady]);
        Assert.Null(_panel.Complaint);
    }

    [Theory]
    [InlineData(MmioRegister.MagicValue, 1)]
    [InlineData(MmioRegister.MagicValue, 2)]
    [InlineData(MmioRegister.MagicValue, 8)]
    [InlineData(MmioRegister.MagicValue, 0)]
    [InlineData(MmioRegister.MagicValue + 1, 4)]
    [InlineData(MmioRegister.MagicValue + 2, 4)]
    [InlineData(MmioRegister.ConfigurationGeneration + 3, 4)]
    public void Control_registers_read_zero_in_other_ways_than_32_bits_and_aligned(int offset, int width) =>
        Assert.Equal(0u, _panel.Machine.Read((ulong)offset, width));

    [Theory]
    [InlineData(MmioRegister.Status, 1)]
    [InlineData(MmioRegister.Status, 2)]
    [InlineData(MmioRegister.Status, 3)]
    [InlineData(MmioRegister.Status + 1, 4)]
    [InlineData(MmioRegister.Status - 2, 4)]
    public void Control_registers_are_not_written_in_other_ways(int offset, int width)
    {
        _panel.Start();

        _panel.Machine.Write((ulong)offset, width, 0);

        Assert.Equal(Started, _panel[MmioRegister.Status]);
    }

    [Fact]
    public void Registers_keep_their_direction()
    {
        _panel.Start();
        foreach (int readOnly in new[] { MmioRegister.MagicValue, MmioRegister.Version, MmioRegister.DeviceId, MmioRegister.VendorId, MmioRegister.DeviceFeatures, MmioRegister.QueueSizeMax, MmioRegister.InterruptStatus, MmioRegister.ConfigurationGeneration })
        {
            uint before = _panel[readOnly];
            _panel[readOnly] = ~before;
            Assert.Equal(before, _panel[readOnly]);
        }

        foreach (int writeOnly in new[] { MmioRegister.DeviceFeaturesSelect, MmioRegister.DriverFeatures, MmioRegister.DriverFeaturesSelect, MmioRegister.QueueSelect, MmioRegister.QueueSize, MmioRegister.QueueNotify, MmioRegister.InterruptAcknowledge, MmioRegister.QueueDescriptorArea, MmioRegister.QueueDriverArea + 4, MmioRegister.SharedMemorySelect, 0xEC })
            Assert.Equal(0u, _panel[writeOnly]);
    }

    [Fact]
    public void A_status_with_nothing_in_its_low_byte_is_no_reset()
    {
        _panel.Start();

        _panel[MmioRegister.Status] = 0x100;

        Assert.Equal(Started, _panel[MmioRegister.Status]);
    }

    [Fact]
    public void Status_bits_are_never_cleared_and_NEEDS_RESET_is_not_the_drivers()
    {
        _panel.Start();

        _panel[MmioRegister.Status] = Panel.Acknowledge | Panel.NeedsReset;

        Assert.Equal(Started, _panel[MmioRegister.Status]);
    }

    [Fact]
    public void Undefined_bits_of_InterruptACK_do_nothing()
    {
        _panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer);

        _panel[MmioRegister.InterruptAcknowledge] = 0xFFFF_FFFC;

        Assert.Equal(1u, _panel[MmioRegister.InterruptStatus]);
        Assert.True(_panel.Machine.IsRaised);
    }

    [Fact]
    public void Registers_of_the_legacy_layout_are_not_there()
    {
        _panel.Negotiate();
        _panel[MmioRegister.QueueSelect] = 0;
        _panel[MmioRegister.GuestPageSize] = 4096;
        _panel[MmioRegister.QueueAlign] = 4096;
        _panel[MmioRegister.QueuePage] = (uint)(Panel.Ring / 4096);

        Assert.Equal((0u, 0u), (_panel[MmioRegister.QueuePage], _panel[MmioRegister.QueueReady]));
        Assert.False(_panel.Host.IsEnabled(0));
        Assert.Null(_panel.Complaint);
    }

    [Fact]
    public void Any_sequence_of_accesses_leaves_a_device_that_a_reset_makes_good()
    {
        var random = new Random(20251121);
        for (int i = 0; i < 200_000; i++)
        {
            ulong offset = (ulong)random.Next(0, 0x120);
            int width = random.Next(10) == 0 ? random.Next(0, 9) : 4;
            if (random.Next(4) != 0)
                offset &= ~3ul;
            uint value = random.Next(3) switch { 0 => (uint)random.Next(0, 4), 1 => (uint)random.Next(0, 0x4000) & ~1u, _ => (uint)random.NextInt64() };
            if (random.Next(3) == 0)
                _panel.Machine.Read(offset, width);
            else
                _panel.Machine.Write(offset, width, value);
        }

        _panel.Start();

        Assert.Equal(Started, _panel[MmioRegister.Status]);
    }
}
