using FsCheck;
using FsCheck.Fluent;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Memory;

[Proves("Hostile driver", "in process")]
public sealed unsafe class GuestMemoryTests
{
    [Fact]
    public void A_range_translates_exactly_when_all_its_bytes_lie_in_one_region() =>
        Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            var model = new AddressModel(random);
            var memory = new GuestMemory(model.Map);
            for (int i = 0; i < 200; i++)
            {
                ulong address = (ulong)random.Next(AddressModel.Bytes + 8);
                uint length = (uint)random.Next(1, 64);
                nint expected = model.HostOf(address, length);
                bool found = memory.TryTranslate(address, length, out byte* host);
                if (found != (expected != 0) || (found && (nint)host != expected))
                    return false;
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_piece_ends_where_its_region_ends() =>
        Prop.ForAll<int>(seed =>
        {
            var random = new Random(seed);
            var model = new AddressModel(random);
            var memory = new GuestMemory(model.Map);
            for (int i = 0; i < 200; i++)
            {
                ulong address = (ulong)random.Next(AddressModel.Bytes + 8);
                uint length = (uint)random.Next(1, 64);
                uint piece = memory.TranslatePiece(address, length, MemoryAccess.Read, out byte* host);
                uint expected = length;
                while (expected > 0 && model.HostOf(address, expected) == 0)
                    expected--;
                if (piece != expected || (piece > 0 && (nint)host != model.HostOf(address, 1)))
                    return false;
            }

            return true;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void The_last_byte_of_a_region_translates_and_the_next_does_not()
    {
        var memory = new GuestMemory(MemoryMap.Create([new MemoryRegion(new GuestAddress(0x1000), 0x100, 0x7000)]));

        Assert.True(memory.TryTranslate(0x10FF, 1, out byte* host));
        Assert.Equal(0x70FF, (nint)host);
        Assert.True(memory.TryTranslate(0x1000, 0x100, out _));
        Assert.False(memory.TryTranslate(0x10FF, 2, out _));
        Assert.False(memory.TryTranslate(0x1100, 1, out _));
        Assert.False(memory.TryTranslate(0xFFF, 1, out _));
        Assert.False(memory.TryTranslate(0xFFF, 0x101, out _));
    }

    [Fact]
    public void A_range_does_not_go_on_at_zero_after_two_to_the_sixty_four()
    {
        var memory = new GuestMemory(MemoryMap.Create(
            [new MemoryRegion(new GuestAddress(ulong.MaxValue - 0xFFF), 0x1000, 0x7000), new MemoryRegion(new GuestAddress(0), 0x1000, 0x8000)]));

        Assert.True(memory.TryTranslate(ulong.MaxValue, 1, out _));
        Assert.False(memory.TryTranslate(ulong.MaxValue, 2, out _));
        Assert.Equal(1u, memory.TranslatePiece(ulong.MaxValue, uint.MaxValue, MemoryAccess.Read, out _));
    }

    [Fact]
    public void A_buffer_that_would_go_on_at_zero_after_two_to_the_sixty_four_is_refused()
    {
        var memory = new GuestMemory(MemoryMap.Create(
            [new MemoryRegion(new GuestAddress(ulong.MaxValue - 0xFFF), 0x1000, 0x7000), new MemoryRegion(new GuestAddress(0), 0x1000, 0x8000)]));
        var segments = new ChainSegments(4);

        Assert.True(segments.TryAdd(ref memory, ulong.MaxValue - 7, 8, writable: true, 0));
        Assert.False(segments.TryAdd(ref memory, ulong.MaxValue - 7, 9, writable: true, 0));

        Assert.Equal(new ChainFault(ChainFaultKind.AddressUnmapped, 0), segments.Fault);
    }

    [Fact]
    public void A_map_without_memory_translates_nothing()
    {
        var memory = new GuestMemory(MemoryMap.Empty);

        Assert.False(memory.TryTranslate(0, 1, out _));
        Assert.False(memory.TryTranslate(0, 0, out _));
        Assert.Equal(0u, memory.TranslatePiece(0, 1, MemoryAccess.Read, out _));
    }

    [Fact]
    public void A_buffer_across_two_regions_that_are_neighbours_only_for_the_guest_becomes_two_segments()
    {
        using var driver = new HostileDriver();
        using DmaArena low = DmaArena.CreateLocal(new GuestAddress(0x4000_0000), 4096);
        using DmaArena high = DmaArena.CreateLocal(new GuestAddress(0x4000_1000), 4096);
        driver.Host.SetMemory(MemoryMap.Create([driver.Arena.Region, high.Region, low.Region]));
        Span<byte> left = low.Allocate(4096).Span, right = high.Allocate(4096).Span;
        int pieces = 0;
        driver.Device.Answer = (_, scoped ref chain) =>
        {
            while (chain.TryNextWritable(out Span<byte> room))
            {
                room.Fill((byte)++pieces);
                chain.Advance(room.Length);
            }
        };
        driver.Ring[0] = new Descriptor(0x4000_0FF0, 48, DescriptorFlags.Write, 0);

        Assert.Equal(48u, driver.Send(0).Length);

        Assert.Equal(2, pieces);
        Assert.Equal(Enumerable.Repeat((byte)1, 16), left[^16..].ToArray());
        Assert.Equal(0, left[^17]);
        Assert.Equal(Enumerable.Repeat((byte)2, 32), right[..32].ToArray());
        Assert.Equal(0, right[32]);
    }
}
