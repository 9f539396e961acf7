using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Device;

/// <summary>What a driver says of a queue is checked when it enables it, and the refusal names the field.</summary>
[Proves("Hostile driver", "in process")]
public sealed class EnableQueueTests : IDisposable
{
    private readonly HostileDriver _driver = new();
    private readonly QueueLayout _layout;

    public EnableQueueTests()
    {
        _driver.Negotiate();
        _layout = new RawRing(_driver.Arena, 8).Layout;
    }

    public void Dispose() => _driver.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    [InlineData(-8)]
    [InlineData(int.MinValue)]
    public void A_size_that_is_no_power_of_two_is_refused(int size) =>
        AssertRefused(_layout with { Size = size }, $"queue size = {size} is not a power of two in 1…32768");

    [Theory]
    [InlineData(512)]
    [InlineData(65535)]
    [InlineData(65536)]
    [InlineData(int.MaxValue)]
    public void A_size_larger_than_the_devices_is_refused(int size) =>
        AssertRefused(_layout with { Size = size }, $"queue size = {size} of queue 0 is more than the device's 256");

    [Fact]
    public void A_misaligned_descriptor_area_is_refused() =>
        AssertRefused(_layout with { DescriptorArea = _layout.DescriptorArea.Plus(8) }, $"descriptor area = {_layout.DescriptorArea.Plus(8)} is not aligned to 16");

    [Fact]
    public void A_misaligned_driver_area_is_refused() =>
        AssertRefused(_layout with { DriverArea = _layout.DriverArea.Plus(1) }, $"driver area = {_layout.DriverArea.Plus(1)} is not aligned to 2");

    [Fact]
    public void A_misaligned_device_area_is_refused() =>
        AssertRefused(_layout with { DeviceArea = _layout.DeviceArea.Plus(2) }, $"device area = {_layout.DeviceArea.Plus(2)} is not aligned to 4");

    [Fact]
    public void A_descriptor_area_outside_memory_is_refused() =>
        AssertRefused(_layout with { DescriptorArea = new(0x10) }, "descriptor area = 0x10, 128 bytes, is not in one piece of guest memory");

    [Fact]
    public void A_driver_area_that_runs_out_of_memory_is_refused() =>
        AssertRefused(_layout with { DriverArea = new(_driver.ArenaEnd - 20) }, $"driver area = 0x{_driver.ArenaEnd - 20:x}, 22 bytes, is not in one piece of guest memory");

    [Fact]
    public void A_device_area_that_wraps_is_refused() =>
        AssertRefused(_layout with { DeviceArea = new(ulong.MaxValue - 3) }, "device area = 0xfffffffffffffffc, 70 bytes, is not in one piece of guest memory");

    [Fact]
    public void A_queue_that_was_never_given_addresses_is_refused() =>
        AssertRefused(new QueueLayout(8, default, default, default), "descriptor area = 0x0, 128 bytes, is not in one piece of guest memory");

    [Fact]
    public void Areas_that_overlap_are_refused()
    {
        GuestAddress table = _layout.DescriptorArea;

        AssertRefused(_layout with { DriverArea = table.Plus(126) }, $"descriptor area = {table} overlaps driver area = {table.Plus(126)}");
        AssertRefused(_layout with { DeviceArea = table }, $"descriptor area = {table} overlaps device area = {table}");
        AssertRefused(_layout with { DeviceArea = _layout.DriverArea.Plus(20) }, $"driver area = {_layout.DriverArea} overlaps device area = {_layout.DriverArea.Plus(20)}");
    }

    [Fact]
    public void Areas_that_overlap_at_the_end_of_the_address_space_are_refused()
    {
        var top = new GuestAddress(ulong.MaxValue - 0xFFF);
        _driver.Host.SetMemory(MemoryMap.Create([_driver.Arena.Region, new MemoryRegion(top, 0x1000, _driver.Arena.Region.Host)]));
        GuestAddress table = top.Plus(0x1000 - 128), driver = top.Plus(0x1000 - 22);

        AssertRefused(_layout with { DescriptorArea = table, DriverArea = driver }, $"descriptor area = {table} overlaps driver area = {driver}");
    }

    [Fact]
    public void Areas_may_touch()
    {
        GuestAddress table = _driver.Arena.Allocate(4096).Address;

        _driver.Host.EnableQueue(0, new QueueLayout(8, table, table.Plus(128), table.Plus(128 + 24)));

        Assert.True(_driver.Host.IsEnabled(0));
    }

    [Fact]
    public void Memory_that_is_mapped_less_aligned_than_the_guest_sees_it_is_refused()
    {
        _driver.Host.SetMemory(MemoryMap.Create([new MemoryRegion(_driver.Arena.Region.Start, _driver.Arena.Region.Length - 8, _driver.Arena.Region.Host + 8)]));

        AssertRefused(_layout, $"descriptor area = {_layout.DescriptorArea} lies in a memory region that is not aligned to 16 here");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    [InlineData(65535)]
    public void A_queue_that_does_not_exist_is_refused(int index)
    {
        var refusal = Assert.Throws<QueueException>(() => _driver.Host.EnableQueue(index, _layout));

        Assert.Equal($"queue {index} does not exist: the device has 1", refusal.Message);
    }

    [Fact]
    public void A_refused_layout_leaves_an_enabled_queue_as_it_was()
    {
        RawRing ring = _driver.Start();
        AssertRefused(ring.Layout with { DriverArea = new(2) }, "driver area = 0x2, 22 bytes, is not in one piece of guest memory", stays: true);

        _driver.Host.SetMemory(MemoryMap.Create([_driver.Arena.Region]));

        Assert.Empty(_driver.Observer.Resets);
        _driver.AssertServes();
    }

    [Fact]
    public void A_disabled_queue_goes_on_where_it_stood()
    {
        RawRing ring = _driver.Start();
        _driver.AssertServes();
        QueueSnapshot at = _driver.Host.DisableQueue(0);
        ring.Offer(0);
        _driver.Kick();
        Assert.Equal(1, ring.UsedIndex);

        _driver.Host.EnableQueue(0, ring.Layout, at);
        _driver.Kick();

        Assert.Equal(new QueueSnapshot(1), at);
        Assert.Equal(2, ring.UsedIndex);
        Assert.Equal(new QueueSnapshot(2), _driver.Host.DisableQueue(0));
        Assert.Equal(default, _driver.Host.DisableQueue(0));
    }

    [Fact]
    public void A_queue_that_starts_just_below_the_wrap_goes_over_it()
    {
        RawRing ring = _driver.Start();
        ring.AvailableIndex = ring.UsedIndex = 0xFFF8;
        _driver.Host.EnableQueue(0, ring.Layout, new QueueSnapshot(0xFFF8));

        for (int i = 0; i < 20; i++)
            _driver.AssertServes();

        Assert.Equal(0x000C, ring.UsedIndex);
    }

    [Fact]
    public void A_queue_whose_ring_is_no_longer_in_memory_stops_the_device()
    {
        _driver.Start();

        _driver.Host.SetMemory(MemoryMap.Empty);

        Assert.Equal(DeviceStatus.NeedsReset, _driver.Host.Status & DeviceStatus.NeedsReset);
        Assert.Equal(1, _driver.Line.ConfigurationChanges);
        Assert.Contains("is not in one piece of guest memory", Assert.Single(_driver.Observer.Resets).Message, StringComparison.Ordinal);
        Assert.False(_driver.Host.IsEnabled(0));
    }

    [Fact]
    public void A_queue_goes_on_when_memory_is_mapped_elsewhere()
    {
        _driver.Start();
        _driver.AssertServes();
        using DmaArena elsewhere = DmaArena.CreateLocal(_driver.Arena.Region.Start.Plus(1 << 30), 1 << 16);

        _driver.Host.SetMemory(MemoryMap.Create([_driver.Arena.Region, elsewhere.Region]));
        DmaBuffer buffer = elsewhere.Allocate(32);
        _driver.Ring[3] = new Descriptor(buffer.Address.Value, 32, DescriptorFlags.Write, 0);

        Assert.Equal(32u, _driver.Send(3).Length);
        Assert.Equal(ScriptedDevice.Filling, buffer.Span[31]);
    }

    [Fact]
    public void Registers_cannot_answer_so_a_queue_that_cannot_be_is_NEEDS_RESET()
    {
        Assert.False(_driver.Host.TryEnableQueue(0, _layout with { Size = 7 }));

        Assert.Equal(DeviceStatus.NeedsReset, _driver.Host.Status & DeviceStatus.NeedsReset);
        Assert.Equal("queue size = 7 is not a power of two in 1…32768", Assert.Single(_driver.Observer.Resets).Message);
        _driver.Negotiate();
        Assert.True(_driver.Host.TryEnableQueue(0, _layout));
        Assert.True(_driver.Host.IsEnabled(0));
    }

    private void AssertRefused(QueueLayout layout, string message, bool stays = false)
    {
        var refusal = Assert.Throws<QueueException>(() => _driver.Host.EnableQueue(0, layout));
        Assert.Equal(message, refusal.Message);
        Assert.Equal(stays, _driver.Host.IsEnabled(0));
    }
}
