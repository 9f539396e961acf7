using VirtioSharp.Core.Memory;
using Xunit;

namespace VirtioSharp.Core.Tests.Memory;

public sealed unsafe class IotlbTests
{
    private readonly Iotlb _iotlb = new(4, (_, _, _) => true);

    [Fact]
    public void An_address_is_found_where_its_entry_says_and_nowhere_else()
    {
        Add(0x1000, 0x1000, 0x7000);
        Add(0x4000, 0x1000, 0x9000);

        Assert.Equal((0x100u, 0x7F00), Find(0x1F00, 0x200));
        Assert.Equal((1u, 0x9FFF), Find(0x4FFF, 1));
        foreach (ulong outside in new ulong[] { 0, 0xFFF, 0x2000, 0x3FFF, 0x5000, ulong.MaxValue })
            Assert.Equal((0u, 0), Find(outside, 1));
    }

    [Fact]
    public void Entries_that_are_neighbours_at_both_ends_are_one_piece()
    {
        Add(0x1000, 0x1000, 0x7000);
        Add(0x2000, 0x1000, 0x8000);
        Add(0x3000, 0x1000, 0xB000); // elsewhere

        Assert.Equal((0x1FF0u, 0x7010), Find(0x1010, 0x4000));
        Assert.Equal((0x10u, 0x7010), Find(0x1010, 0x10));
        Assert.Equal((0x1000u, 0xB000), Find(0x3000, 0x4000));
    }

    [Theory]
    [InlineData(MemoryAccess.Read, MemoryAccess.Read, 0x2000)]
    [InlineData(MemoryAccess.ReadWrite, MemoryAccess.Read, 0x2000)]
    [InlineData(MemoryAccess.ReadWrite, MemoryAccess.Write, 0x1000)]
    [InlineData(MemoryAccess.ReadWrite, MemoryAccess.ReadWrite, 0x1000)]
    [InlineData(MemoryAccess.Read, MemoryAccess.Write, 0)]
    [InlineData(MemoryAccess.Write, MemoryAccess.Read, 0)]
    [InlineData(MemoryAccess.Write, MemoryAccess.ReadWrite, 0)]
    public void A_piece_ends_where_the_access_is_not_allowed(MemoryAccess given, MemoryAccess wanted, uint found)
    {
        Add(0x1000, 0x1000, 0x7000, given);
        Add(0x2000, 0x1000, 0x8000, MemoryAccess.Read);

        Assert.Equal(found, Find(0x1000, 0x4000, wanted).Found);
    }

    [Fact]
    public void Entries_reach_to_both_ends_of_the_addresses()
    {
        Add(0, 0x1000, 0x7000);
        Add(ulong.MaxValue - 0xFFF, 0x1000, 0x6000);

        Assert.Equal((1u, 0x6FFF), Find(ulong.MaxValue, 0x1000)); // and does not go on at 0
        Assert.Equal((0x1000u, 0x7000), Find(0, 0x2000));
        Assert.Equal([0, ulong.MaxValue - 0xFFF], Starts(0, ulong.MaxValue));
    }

    [Fact]
    public void What_overlaps_is_found_and_cannot_be_added_to()
    {
        Add(0x1000, 0x1000, 0x7000);
        Add(0x3000, 0x1000, 0x8000);

        Assert.Equal([0x1000], Starts(0, 0x1000));
        Assert.Equal([0x1000, 0x3000], Starts(0x1FFF, 0x3000));
        Assert.Empty(Starts(0x2000, 0x2FFF));
        Assert.Empty(Starts(0x4000, ulong.MaxValue));
        Assert.Throws<ArgumentException>(() => Add(0x1FFF, 2, 0));
        Assert.Throws<ArgumentException>(() => Add(0, 0x5000, 0));
        Assert.Throws<ArgumentException>(() => Add(0x3800, 1, 0));
        Assert.Throws<ArgumentException>(() => Add(0x2000, 0, 0));
        Assert.Throws<ArgumentException>(() => Add(ulong.MaxValue, 2, 0));
    }

    [Fact]
    public void The_oldest_is_the_one_that_was_added_first()
    {
        foreach (ulong start in new ulong[] { 0x3000, 0x1000, 0x4000, 0x2000 })
            Add(start, 0x1000, 0);

        Assert.True(_iotlb.IsFull);
        Assert.Equal(0x3000u, _iotlb.Oldest.Region.Start.Value);
        _iotlb.Remove(_iotlb.Oldest);
        Assert.Equal(0x1000u, _iotlb.Oldest.Region.Start.Value);
        Assert.False(_iotlb.IsFull);
    }

    [Fact]
    public void One_that_is_renewed_is_the_last_to_be_the_oldest()
    {
        Add(0x3000, 0x1000, 0);
        Add(0x1000, 0x1000, 0);

        _iotlb.Renew(_iotlb.Oldest);

        Assert.Equal(0x1000u, _iotlb.Oldest.Region.Start.Value);
        _iotlb.Remove(_iotlb.Oldest);
        Assert.Equal((0x3000u, 1), (_iotlb.Oldest.Region.Start.Value, _iotlb.Count));
    }

    private void Add(ulong start, ulong length, nint host, MemoryAccess access = MemoryAccess.ReadWrite) =>
        _iotlb.Add(new IotlbEntry(new MemoryRegion(new GuestAddress(start), length, host), access));

    private (uint Found, nint Host) Find(ulong address, uint length, MemoryAccess access = MemoryAccess.Read)
    {
        uint found = _iotlb.TranslatePiece(address, length, access, out byte* host);
        return (found, (nint)host);
    }

    private ulong[] Starts(ulong first, ulong last) => [.. _iotlb.Overlapping(first, last).Select(entry => entry.Region.Start.Value)];
}
