using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>The device half of version 1 (§4.2.4), and what its drivers do wrong.</summary>
[Proves("virtio-mmio registers", "in-process MMIO, legacy")]
[Proves("Legacy ring layout", "in-process MMIO, legacy")]
public sealed class LegacyRegisterTests : IDisposable
{
    private const uint Page = (uint)(Panel.Ring / 4096);

    private readonly Panel _panel = new(MmioVersion.Legacy);

    public static TheoryData<uint, uint, uint, uint, string> Impossible => new()
    {
        { 0, 16, 4096, Page, "guest page size = 0 is not a power of two" },
        { 4095, 16, 4096, Page, "guest page size = 4095 is not a power of two" },
        { 4096, 0, 4096, Page, "queue size = 0 is not a power of two" },
        { 4096, 7, 4096, Page, "queue size = 7 is not a power of two" },
        { 4096, 0xFFFF_FFFF, 4096, Page, "queue size = 4294967295 is not a power of two" },
        { 4096, 128, 4096, Page, "more than the device's 64" },
        { 4096, 16, 0, Page, "queue alignment = 0 is not a power of two" },
        { 4096, 16, 4097, Page, "queue alignment = 4097 is not a power of two" },
        { 4096, 16, 0x8000_0000, Page, "queue alignment = 2147483648 is not a power of two in" },
        { 4096, 16, 1, Page, "device area = 0x100000126 is not aligned to 4" },
        { 4096, 16, 4096, 1, "descriptor area = 0x1000, 256 bytes, is not in one piece of guest memory" },
        { 0x8000_0000, 16, 4096, 0xFFFF_FFFF, "is not in one piece of guest memory" },
    };

    public void Dispose() => _panel.Dispose();

    [Fact]
    public void A_legacy_window_has_version_1_and_32_feature_bits()
    {
        Assert.Equal(1u, _panel[MmioRegister.Version]);
        Assert.Equal((uint)(FeatureSet.Bit(0) | FeatureSet.Bit(5) | Features.IndirectDesc | Features.EventIdx | Features.AnyLayout | Features.NotifyOnEmpty).Low, _panel[MmioRegister.DeviceFeatures]);
        for (uint word = 1; word < 4; word++)
        {
            _panel[MmioRegister.DeviceFeaturesSelect] = word;
            Assert.Equal(0u, _panel[MmioRegister.DeviceFeatures]);
            _panel[MmioRegister.DriverFeaturesSelect] = word;
            _panel[MmioRegister.DriverFeatures] = uint.MaxValue;
        }

        Assert.True(_panel.Host.DriverFeatures.IsEmpty);
    }

    [Fact]
    public void A_ring_is_where_its_page_is_until_the_page_is_0()
    {
        Place(size: 16);

        Assert.Equal(Page, _panel[MmioRegister.QueuePage]);
        Assert.True(_panel.Host.IsEnabled(0));
        _panel[MmioRegister.QueuePage] = Page + 1; // in use: the driver must write 0 first
        _panel[MmioRegister.QueueSize] = 7;
        Assert.Equal(Page, _panel[MmioRegister.QueuePage]);
        _panel[MmioRegister.QueuePage] = 0;

        Assert.Equal(0u, _panel[MmioRegister.QueuePage]);
        Assert.False(_panel.Host.IsEnabled(0));
        _panel[MmioRegister.QueuePage] = Page + 1;
        Assert.Equal(Page + 1, _panel[MmioRegister.QueuePage]);
    }

    [Fact]
    public void The_page_size_stays_over_a_reset_for_Linux_writes_it_before()
    {
        _panel[MmioRegister.GuestPageSize] = 4096;
        _panel[MmioRegister.Status] = 0;
        _panel[MmioRegister.QueueAlign] = 4096;

        _panel[MmioRegister.QueuePage] = Page;

        Assert.True(_panel.Host.IsEnabled(0));
        _panel[MmioRegister.Status] = 0;
        Assert.Equal(0u, _panel[MmioRegister.QueuePage]);
    }

    [Theory]
    [MemberData(nameof(Impossible))]
    [Proves("Hostile driver", "in-process MMIO, legacy")]
    public void A_ring_that_cannot_be_stays_off_and_the_device_says_so(uint pageSize, uint size, uint alignment, uint page, string complaint)
    {
        Place(pageSize, size, alignment, page);

        Assert.Equal(0u, _panel[MmioRegister.QueuePage]);
        Assert.False(_panel.Host.IsEnabled(0));
        Assert.Equal(Panel.NeedsReset, _panel[MmioRegister.Status] & Panel.NeedsReset);
        Assert.Contains(complaint, _panel.Complaint, StringComparison.Ordinal);
    }

    [Fact]
    [Proves("Hostile driver", "in-process MMIO, legacy")]
    public void Registers_of_version_2_are_not_there()
    {
        _panel.Place();
        _panel[MmioRegister.QueueReady] = 1;
        _panel[MmioRegister.QueueReset] = 1;

        Assert.False(_panel.Host.IsEnabled(0));
        foreach (int register in new[] { MmioRegister.QueueReady, MmioRegister.QueueReset, MmioRegister.SharedMemoryLength, MmioRegister.SharedMemoryBase + 4, MmioRegister.ConfigurationGeneration })
            Assert.Equal(0u, _panel[register]);
        Assert.Null(_panel.Complaint);
    }

    [Fact]
    [Proves("Hostile driver", "in-process MMIO, legacy")]
    public void Features_are_final_once_a_ring_is_in_use()
    {
        _panel[MmioRegister.DriverFeatures] = 1;
        Place(size: 16);

        _panel[MmioRegister.DriverFeatures] = 1 << 29;

        Assert.Equal(FeatureSet.Bit(0), _panel.Host.DriverFeatures);
    }

    [Fact]
    [Proves("Hostile driver", "in-process MMIO, legacy")]
    public void An_absent_queue_has_no_page()
    {
        _panel[MmioRegister.QueueSelect] = 2;
        Place(size: 16, select: false);

        Assert.Equal((0u, 0u), (_panel[MmioRegister.QueueSizeMax], _panel[MmioRegister.QueuePage]));
        Assert.Null(_panel.Complaint);
    }

    [Fact]
    public void The_driver_half_names_a_ring_by_its_page()
    {
        using MmioTransport transport = _panel.Machine.Open();
        DmaBuffer ring = transport.Dma.Allocate(LegacyLayout.Of(16).Bytes, 4096);
        var layout = LegacyLayout.Of(16);
        var honest = new QueueLayout(16, ring.Address, ring.Address.Plus((ulong)layout.DriverAreaOffset), ring.Address.Plus((ulong)layout.DeviceAreaOffset));

        Assert.Equal(4096, transport.LegacyAlignment);
        Assert.Throws<QueueException>(() => transport.EnableQueue(0, honest with { DeviceArea = honest.DeviceArea.Plus(4096) }));
        Assert.Throws<QueueException>(() => transport.EnableQueue(0, At(honest, 0x100)));
        Assert.Throws<QueueException>(() => transport.EnableQueue(0, At(honest, 1ul << 44)));
        transport.EnableQueue(0, honest);

        Assert.Equal((uint)(ring.Address.Value / 4096), _panel[MmioRegister.QueuePage]);
        Assert.True(_panel.Host.IsEnabled(0));
    }

    private static QueueLayout At(QueueLayout layout, ulong further) =>
        new(layout.Size, layout.DescriptorArea.Plus(further), layout.DriverArea.Plus(further), layout.DeviceArea.Plus(further));

    private void Place(uint pageSize = 4096, uint size = 16, uint alignment = 4096, uint page = Page, bool select = true)
    {
        _panel[MmioRegister.GuestPageSize] = pageSize;
        if (select)
            _panel[MmioRegister.QueueSelect] = 0;
        _panel[MmioRegister.QueueSize] = size;
        _panel[MmioRegister.QueueAlign] = alignment;
        _panel[MmioRegister.QueuePage] = page;
    }
}
