using System.Buffers.Binary;
using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Transports.Tests.Pci.Support;

/// <summary>A split ring written by hand: every chain is one writable buffer.</summary>
internal sealed class HandRing
{
    private readonly DmaBuffer _available, _used, _descriptors, _buffers;
    private readonly int _size, _bufferBytes;
    private ushort _next;

    public HandRing(DmaArena arena, int size, int bufferBytes = 64)
    {
        (_size, _bufferBytes) = (size, bufferBytes);
        LegacyLayout layout = LegacyLayout.Of(size); // good for every interface
        Whole = arena.Allocate(layout.Bytes, 4096);
        _descriptors = Whole.Slice(0, layout.DriverAreaOffset);
        _available = Whole.Slice(layout.DriverAreaOffset, SplitLayout.DriverAreaBytes(size));
        _used = Whole.Slice(layout.DeviceAreaOffset, SplitLayout.DeviceAreaBytes(size));
        _buffers = arena.Allocate(size * bufferBytes);
    }

    public DmaBuffer Whole { get; }

    public GuestAddress Descriptors => _descriptors.Address;

    public GuestAddress Available => _available.Address;

    public GuestAddress Used => _used.Address;

    /// <summary>How many chains the device has used.</summary>
    public ushort UsedIndex => BinaryPrimitives.ReadUInt16LittleEndian(_used.Span[SplitLayout.IndexOffset..]);

    public ushort NextAvailable => _next;

    public Span<byte> BufferOf(int chain) => _buffers.Slice(chain % _size * _bufferBytes, _bufferBytes).Span;

    /// <summary>Makes one more chain available.</summary>
    public void Add()
    {
        int slot = _next % _size;
        var descriptor = new Descriptor(_buffers.Slice(slot * _bufferBytes, _bufferBytes).Address.Value, (uint)_bufferBytes, DescriptorFlags.Write, 0);
        MemoryMarshal.Write(_descriptors.Span[(slot * Descriptor.Size)..], descriptor);
        BinaryPrimitives.WriteUInt16LittleEndian(_available.Span[(SplitLayout.RingOffset + 2 * slot)..], (ushort)slot);
        BinaryPrimitives.WriteUInt16LittleEndian(_available.Span[SplitLayout.IndexOffset..], ++_next);
    }
}
