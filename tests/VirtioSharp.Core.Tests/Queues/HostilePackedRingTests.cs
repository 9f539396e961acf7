using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Spec.DescriptorFlags;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>Packed rings that cannot be trusted any more, and layouts that are refused; the mirror of <see cref="HostileRingTests"/>.</summary>
[Proves("Hostile driver", "in process")]
[Proves("Packed ring", "in process")]
public sealed class HostilePackedRingTests : IDisposable
{
    private readonly HostileDriver _driver = new(more: Features.RingPacked);

    private ulong Good => _driver.Good.Address.Value;

    private RawPackedRing Ring => _driver.PackedRing;

    public void Dispose() => _driver.Dispose();

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_list_that_does_not_end_stops_the_device()
    {
        for (int i = 0; i < 8; i++)
            Ring.Put(0, new Entry(Good, 8, Write), Next);

        _driver.Kick();

        _driver.AssertStoppedUntilReset("the list at entry 0 has NEXT in all 8 entries: it does not end");
    }

    [Theory]
    [InlineData(8)]
    [InlineData(0xFFFF)]
    [Proves("NEEDS_RESET", "in process")]
    public void A_buffer_id_that_is_not_below_the_size_stops_the_device(ushort id)
    {
        _driver.AssertServes();
        Ring.Offer(id, new Entry(Good, 8, Write));

        _driver.Kick();

        _driver.AssertStoppedUntilReset($"buffer id = {id} of the list at entry 2 is not below the queue size 8");
    }

    [Fact]
    public void What_was_served_before_the_ring_broke_stays_served()
    {
        Ring.Offer(3, new Entry(Good, 16, Write));
        Ring.Offer(99, new Entry(Good, 16, Write));

        _driver.Kick();

        Assert.Equal([new UsedElement(3, 16)], _driver.TakeUsed());
        Assert.Equal(1, _driver.Line.UsedBuffers);
        _driver.AssertStoppedUntilReset("buffer id = 99 of the list at entry 1 is not below the queue size 8");
    }

    [Fact]
    public void A_list_may_use_every_entry_and_wrap()
    {
        _driver.AssertServes(); // moves on by two entries
        var list = new Entry[8];
        Array.Fill(list, new Entry(Good, 1, Write));

        Assert.Equal(8u, _driver.Send(list).Length);

        _driver.AssertServes();
    }

    [Fact]
    [Proves("INDIRECT_DESC", "in process")]
    public void Of_the_flags_in_an_indirect_table_only_WRITE_counts()
    {
        DmaBuffer table = _driver.TableOf(new Entry(Good, 8, Next | Indirect | Available), new Entry(Good, 24, Write | Indirect | Used), new Entry(Good, 1, Write | Next));

        Assert.Equal(25u, _driver.Send(new Entry(table.Address.Value, 48, Indirect)).Length);

        Assert.Equal(8, _driver.Device.Read.Count);
        Assert.Empty(_driver.Observer.Faults);
    }

    [Fact]
    [Proves("INDIRECT_DESC", "in process")]
    public void WRITE_on_the_descriptor_of_an_indirect_table_is_ignored()
    {
        DmaBuffer table = _driver.TableOf(new Entry(Good, 8), new Entry(Good, 24, Write));

        Assert.Equal(24u, _driver.Send(new Entry(table.Address.Value, 32, Indirect | Write)).Length);
    }

    [Theory]
    [InlineData(None)]
    [InlineData(Available | Used)]
    [InlineData(Used)]
    public void Flags_that_do_not_say_available_in_this_turn_offer_nothing(DescriptorFlags flags)
    {
        Ring[0] = new PackedDescriptor(Good, 8, 0, Write | flags);

        _driver.Kick();

        Assert.Equal(0, _driver.Device.Chains);
        _driver.AssertServes();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    public void A_size_below_one_is_refused(int size) =>
        AssertRefused(Ring.Layout with { Size = size }, $"queue size = {size} is not in 1…32768");

    [Fact]
    public void A_size_larger_than_the_devices_is_refused() =>
        AssertRefused(Ring.Layout with { Size = 32769 }, "queue size = 32769 of queue 0 is more than the device's 256");

    [Fact]
    public void A_size_larger_than_the_formats_is_refused()
    {
        var memory = new GuestMemory(MemoryMap.Create([_driver.Arena.Region]));
        QueueLayout layout = Ring.Layout with { Size = 32769 };

        var refusal = Assert.Throws<QueueException>(() => Core.Queues.Packed.PackedDeviceRing.Attach(layout, ref memory, default, default));

        Assert.Equal("queue size = 32769 is not in 1…32768", refusal.Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(255)]
    public void Any_other_size_is_good(int size)
    {
        using var driver = new HostileDriver(size: size, more: Features.RingPacked);

        for (int i = 0; i < 300; i++)
        {
            driver.Offer(0, new Entry(driver.Good.Address.Value, 16, Write));
            driver.Kick();
            Assert.Equal([new UsedElement(0, 16)], driver.TakeUsed());
        }
    }

    [Fact]
    public void Misaligned_areas_are_refused()
    {
        QueueLayout layout = Ring.Layout;

        AssertRefused(layout with { DescriptorArea = layout.DescriptorArea.Plus(8) }, $"descriptor area = {layout.DescriptorArea.Plus(8)} is not aligned to 16");
        AssertRefused(layout with { DriverArea = layout.DriverArea.Plus(2) }, $"driver area = {layout.DriverArea.Plus(2)} is not aligned to 4");
        AssertRefused(layout with { DeviceArea = layout.DeviceArea.Plus(2) }, $"device area = {layout.DeviceArea.Plus(2)} is not aligned to 4");
    }

    [Fact]
    public void Areas_outside_memory_are_refused()
    {
        QueueLayout layout = Ring.Layout;
        ulong end = _driver.ArenaEnd;

        AssertRefused(layout with { DescriptorArea = new(end - 112) }, $"descriptor area = 0x{end - 112:x}, 128 bytes, is not in one piece of guest memory");
        AssertRefused(layout with { DriverArea = new(0) }, "driver area = 0x0, 4 bytes, is not in one piece of guest memory");
        AssertRefused(layout with { DeviceArea = new(ulong.MaxValue - 3) }, "device area = 0xfffffffffffffffc, 4 bytes, is not in one piece of guest memory");
    }

    [Fact]
    public void Areas_that_overlap_are_refused()
    {
        GuestAddress ring = Ring.Layout.DescriptorArea;

        AssertRefused(Ring.Layout with { DriverArea = ring.Plus(124) }, $"descriptor area = {ring} overlaps driver area = {ring.Plus(124)}");
        AssertRefused(Ring.Layout with { DeviceArea = Ring.Layout.DriverArea }, $"driver area = {Ring.Layout.DriverArea} overlaps device area = {Ring.Layout.DriverArea}");
    }

    [Theory]
    [InlineData(8, 0)]
    [InlineData(0, 8)]
    [InlineData(0x7FFF, 0x7FFF)]
    [Proves("Snapshot and restore", "in process")]
    public void A_snapshot_beyond_the_ring_is_refused(ushort available, ushort used)
    {
        var refusal = Assert.Throws<QueueException>(() => _driver.Host.EnableQueue(0, Ring.Layout, new QueueSnapshot(available, false, used)));

        Assert.Equal($"ring base = {available} and {used} are not both below the queue size 8", refusal.Message);
        _driver.AssertServes();
    }

    private void AssertRefused(QueueLayout layout, string message)
    {
        Assert.Equal(message, Assert.Throws<QueueException>(() => _driver.Host.EnableQueue(0, layout)).Message);
        _driver.AssertServes(); // what was enabled stays so
    }
}
