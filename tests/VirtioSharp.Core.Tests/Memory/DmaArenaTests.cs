using VirtioSharp.Core.Memory;
using Xunit;

namespace VirtioSharp.Core.Tests.Memory;

public sealed class DmaArenaTests : IDisposable
{
    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(0x10_0000), 4096);

    public void Dispose() => _arena.Dispose();

    [Fact]
    public void Buffers_are_zeroed_aligned_and_apart()
    {
        DmaBuffer first = _arena.Allocate(3);
        DmaBuffer second = _arena.Allocate(100, 256);
        DmaBuffer third = _arena.Allocate(1, 1);

        Assert.Equal(0x10_0000UL, first.Address.Value);
        Assert.Equal(0x10_0100UL, second.Address.Value);
        Assert.Equal(0x10_0164UL, third.Address.Value);
        Assert.Equal(new byte[100], second.Span.ToArray());
    }

    [Fact]
    public void A_buffer_is_the_same_bytes_at_the_devices_address()
    {
        DmaBuffer buffer = _arena.Allocate(16);
        buffer.Span[15] = 7;

        DmaBuffer tail = buffer.Slice(12, 4);

        Assert.Equal(buffer.Address.Plus(12), tail.Address);
        Assert.Equal([0, 0, 0, 7], tail.Span.ToArray());
        Assert.Equal(tail, buffer.Slice(12, 4));
        Assert.NotEqual(tail, buffer.Slice(11, 4));
    }

    [Fact]
    public void The_whole_arena_can_be_used_and_not_a_byte_more()
    {
        Assert.Equal(4096, _arena.Allocate(4096).Length);

        Assert.Throws<InsufficientMemoryException>(() => _arena.Allocate(1));
    }

    [Theory]
    [InlineData(4097)]
    [InlineData(int.MaxValue)]
    public void A_buffer_larger_than_the_arena_is_refused(int length) =>
        Assert.Throws<InsufficientMemoryException>(() => _arena.Allocate(length));

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    public void An_empty_buffer_is_refused(int length) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => _arena.Allocate(length));

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(0, 17)]
    [InlineData(16, 1)]
    [InlineData(17, 0)]
    [InlineData(1, int.MaxValue)]
    [InlineData(int.MaxValue, int.MaxValue)]
    public void A_slice_outside_its_buffer_is_refused(int start, int length)
    {
        DmaBuffer buffer = _arena.Allocate(16);

        Assert.Throws<ArgumentOutOfRangeException>(() => buffer.Slice(start, length));
    }

    [Fact]
    public void What_is_taken_back_is_cleared_and_cut_again_when_nothing_lies_after_it()
    {
        DmaBuffer first = _arena.Allocate(64);
        ulong second = _arena.Mark;
        DmaBuffer kept = _arena.Allocate(64);
        ulong third = _arena.Mark;
        first.Span.Fill(1);
        kept.Span.Fill(2);

        _arena.TakeBack(0, second);
        Assert.Equal(third, _arena.Mark);
        Assert.Equal((0, 2), (first.Span[0], kept.Span[63]));
        _arena.TakeBack(second, third);

        Assert.Equal(0ul, _arena.Mark);
        Assert.Equal(first.Address, _arena.Allocate(64).Address);
    }

    [Fact]
    public void An_empty_slice_at_the_end_is_allowed() => Assert.Equal(0, _arena.Allocate(16).Slice(16, 0).Length);

    [Fact]
    public void An_address_beyond_two_to_the_sixty_four_is_refused() =>
        Assert.Throws<OverflowException>(() => new GuestAddress(ulong.MaxValue).Plus(1));
}
