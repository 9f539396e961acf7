using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using Xunit;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>In-flight regions that say what cannot be: whoever shares them may have written anything.</summary>
public sealed unsafe class HostileInflightTests : IDisposable
{
    private const int Size = 8, Header = 16, State = 16, PackedHeader = 32, PackedState = 32;

    private readonly DmaArena _arena = DmaArena.CreateLocal(new GuestAddress(0x10000), 1 << 14);
    private readonly RecordingLine _line = new();
    private readonly byte[] _region = GC.AllocateArray<byte>(InflightRegion.BytesOf(Size, packed: true), pinned: true);

    private readonly RawRing _split;
    private readonly RawPackedRing _packed;

    public HostileInflightTests() => (_split, _packed) = (new(_arena, Size), new(_arena, Size));

    public void Dispose() => _arena.Dispose();

    [Fact]
    public void The_layout_is_that_of_the_specification()
    {
        Assert.Equal((16, 16), (sizeof(QueueRegionSplit), sizeof(DescStateSplit)));
        Assert.Equal((32, 32), (sizeof(QueueRegionPacked), sizeof(DescStatePacked)));
        Assert.Equal((64 + 128, 64 + 256), (InflightRegion.BytesOf(8, packed: false), InflightRegion.BytesOf(8, packed: true)));
        Assert.Equal(64, InflightRegion.BytesOf(3, packed: false));
        Assert.Equal(128, InflightRegion.BytesOf(4, packed: false));
    }

    [Theory]
    [InlineData(false, 0, 1, "features = 0x1")]
    [InlineData(false, 8, 2, "version = 2")]
    [InlineData(false, 10, 9, "desc_num = 9")]
    [InlineData(false, 14, 100, "used_idx = 100")]
    [InlineData(true, 0, 1, "features = 0x1")]
    [InlineData(true, 8, 3, "version = 3")]
    [InlineData(true, 10, 7, "desc_num = 7")]
    [InlineData(true, 14, 9, "goes on at state 9 of 8")] // old_free_head, which comes into force
    [InlineData(true, 16, 8, "used_idx = 8")]
    [InlineData(true, 18, 0xFFFF, "old_used_idx = 65535")]
    [InlineData(true, PackedHeader + 2, 0, "it loops")]                   // state 0 comes after itself
    [InlineData(true, PackedHeader + PackedState + 2, 0, "it loops")]     // and after state 1
    [InlineData(true, PackedHeader + 2, 0xFFFF, "goes on at state 65535 of 8")]
    [InlineData(true, PackedHeader + 2, 8, "1 states are free and 0 in flight")]
    public void A_field_that_cannot_be_is_named(bool packed, int offset, int value, string message)
    {
        Attach(packed);
        BinaryPrimitives.WriteUInt16LittleEndian(_region.AsSpan(offset), (ushort)value);

        var refused = Assert.Throws<QueueException>(() => Attach(packed));

        Assert.Contains(message, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_batch_that_names_no_descriptor_is_refused()
    {
        Attach(packed: false);
        BinaryPrimitives.WriteUInt16LittleEndian(_region.AsSpan(12), 0xFFF0);   // last_batch_head
        BinaryPrimitives.WriteUInt16LittleEndian(_region.AsSpan(14), 0xFFFF);   // used_idx: one behind

        Assert.Contains("65520 of 8", Assert.Throws<QueueException>(() => Attach(packed: false)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, 0, 0, "num = 0")]
    [InlineData(1, 5, 0, "last = 5")]
    [InlineData(1, 0, 8, "id = 8")]
    [InlineData(2, 0, 0, "comes to state 1, which is taken")]
    [InlineData(0xFFFF, 0, 0, "comes to state 1, which is taken")]
    public void A_chain_that_cannot_be_is_refused(int num, int last, int id, string message)
    {
        Attach(packed: true);
        PutChain(num, last, id);

        Assert.Contains(message, Assert.Throws<QueueException>(() => Attach(packed: true)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_queue_larger_than_the_region_is_refused() =>
        Assert.Contains("room for 4 descriptors", Assert.Throws<QueueException>(() => Attach(packed: false, descriptors: 4)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Garbage_is_refused_or_served_and_never_believed_twice(bool packed)
    {
        var random = new Random(5);
        int refused = 0, served = 0;
        for (int round = 0; round < 20_000; round++)
        {
            Array.Clear(_region);
            Attach(packed);
            int states = packed ? PackedHeader : Header, stride = packed ? PackedState : State;
            if (packed)
                PutChain(num: 1, last: 0, id: 3); // garbage alone is never one
            for (int i = random.Next(packed ? 4 : 12); i > 0; i--)
            {
                int field = random.Next(3) == 0 ? random.Next(12, states) : states + stride * random.Next(Size) + random.Next(packed ? 8 : stride);
                _region[field] = (byte)random.Next(random.Next(2) == 0 ? 3 : 256);
            }

            try
            {
                DeviceQueue queue = Attach(packed);
                int owed = queue.Owed;
                Assert.InRange(owed, 0, Size);
                served += owed;
                queue.Service(64, rearm: false);
                Assert.Equal(0, queue.Owed);
                Assert.Equal(0, Attach(packed).Owed); // what was served is not owed any more
            }
            catch (QueueException)
            {
                refused++;
            }
        }

        Assert.InRange(refused, 100, 19_900);
        Assert.InRange(served, 100, 1_000_000);
    }

    /// <summary>A chain in state 0, and a free list that starts behind it.</summary>
    private void PutChain(int num, int last, int id)
    {
        Span<byte> head = _region.AsSpan(PackedHeader, PackedState);
        head[0] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(head[4..], (ushort)last);
        BinaryPrimitives.WriteUInt16LittleEndian(head[6..], (ushort)num);
        BinaryPrimitives.WriteUInt16LittleEndian(head[16..], (ushort)id);
        BinaryPrimitives.WriteUInt32LittleEndian(_region.AsSpan(12), 0x0001_0001);
    }

    private DeviceQueue Attach(bool packed, int descriptors = Size)
    {
        _split.UsedIndex = 0;
        var device = new ScriptedDevice();
        var slot = new QueueSlot(0, device.Traits.Queues[0], device, _line, _line, new RecordingObserver())
        {
            Inflight = new InflightRegion((nint)Unsafe.AsPointer(ref _region[0]), descriptors),
        };
        FeatureSet format = packed ? Features.RingPacked : Features.None;
        return RingFormat.Attach(slot, packed ? _packed.Layout : _split.Layout, new GuestMemory(MemoryMap.Create([_arena.Region])), null, format | Features.Version1, default);
    }
}
