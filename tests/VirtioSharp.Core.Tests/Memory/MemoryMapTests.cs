using VirtioSharp.Core.Memory;
using Xunit;

namespace VirtioSharp.Core.Tests.Memory;

public sealed class MemoryMapTests
{
    [Fact]
    public void Regions_are_kept_sorted_by_guest_address()
    {
        var map = MemoryMap.Create([Region(0x3000, 0x1000), Region(0x1000, 0x1000), Region(0x2000, 0x1000)]);

        Assert.Equal([0x1000UL, 0x2000UL, 0x3000UL], map.Regions.ToArray().Select(region => region.Start.Value));
    }

    [Theory]
    [InlineData(0x1000, 0x1001, 0x2000)]
    [InlineData(0x1000, 0x1000, 0x1000)]
    [InlineData(0x1000, 0x9000, 0x2000)]
    public void Regions_that_overlap_are_refused_by_name(ulong first, ulong length, ulong second)
    {
        var refusal = Assert.Throws<ArgumentException>(() => MemoryMap.Create([Region(second, 0x1000), Region(first, length)]));

        Assert.Contains("overlaps", refusal.Message, StringComparison.Ordinal);
        Assert.Contains($"0x{second:x}", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_empty_region_is_refused()
    {
        var refusal = Assert.Throws<ArgumentException>(() => MemoryMap.Create([Region(0x1000, 0)]));

        Assert.Contains("0x1000 is empty", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_region_beyond_two_to_the_sixty_four_is_refused()
    {
        var refusal = Assert.Throws<ArgumentException>(() => MemoryMap.Create([Region(ulong.MaxValue - 0xFFF, 0x1001)]));

        Assert.Contains("ends beyond 2^64", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_region_may_end_exactly_at_two_to_the_sixty_four()
    {
        var map = MemoryMap.Create([Region(ulong.MaxValue - 0xFFF, 0x1000), Region(0, 0x1000)]);

        var memory = new GuestMemory(map);
        Assert.True(Holds(ulong.MaxValue));
        Assert.True(Holds(0));
        Assert.False(Holds(0x1000));

        unsafe bool Holds(ulong address) => memory.TryTranslate(address, 1, out byte* _);
    }

    private static MemoryRegion Region(ulong start, ulong length) => new(new GuestAddress(start), length, 0x1000);
}
