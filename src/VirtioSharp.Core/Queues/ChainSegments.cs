using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Queues;

/// <summary>A buffer of the chain at hand, or a piece of one, translated and checked. Never empty, and never too long for a span.</summary>
internal readonly unsafe struct Segment(byte* host, uint length)
{
    public const uint MaxLength = int.MaxValue;

    public readonly byte* Host = host;
    public readonly uint Length = length;
}

/// <summary>The buffers of the chain at hand: readable ones first, then writable ones. One per queue, used again for every chain.</summary>
internal unsafe struct ChainSegments
{
    // Pinned, so that bare pointers into it stay good as long as the array is referenced.
    private readonly Segment[] _storage;
    private readonly Segment* _limit;
    private ulong[]? _addresses; // behind an IOMMU
    private ulong _bytes;

    public ChainSegments(int capacity)
    {
        _storage = GC.AllocateArray<Segment>(capacity, pinned: true);
        Items = (Segment*)Unsafe.AsPointer(ref _storage[0]);
        _limit = Items + capacity;
        End = ReadableEnd = Items;
    }

    /// <summary>The first buffer.</summary>
    public Segment* Items { get; }

    /// <summary>Behind the last buffer that the device reads, where those that it writes begin.</summary>
    public Segment* ReadableEnd { get; private set; }

    /// <summary>Behind the last buffer.</summary>
    public Segment* End { get; private set; }

    /// <summary>The most buffers a chain may have.</summary>
    public readonly int Capacity => _storage.Length;

    public readonly int Count => (int)(End - Items);

    /// <summary>How many of them, from the front, the device reads.</summary>
    public readonly int ReadableCount => (int)(ReadableEnd - Items);

    public ChainFault Fault { get; private set; }

    /// <summary>Where the driver said that each buffer is, if that is noted: behind an IOMMU, where every buffer comes to <see cref="TryAdd"/>.</summary>
    public readonly ReadOnlySpan<ulong> Addresses => _addresses.AsSpan(0, _addresses is null ? 0 : Count);

    /// <summary>From now on <see cref="Addresses"/> are noted.</summary>
    public void NoteAddresses() => _addresses ??= new ulong[Capacity];

    public void Clear()
    {
        End = ReadableEnd = Items;
        _bytes = 0;
        if (Fault.Kind != ChainFaultKind.None)
            Fault = default;
    }

    /// <summary>Notes what is wrong; the chain will be answered, not served.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool Fail(ChainFaultKind kind, ulong value) => Fail(new ChainFault(kind, value));

    /// <inheritdoc cref="Fail(ChainFaultKind, ulong)"/>
    public bool Fail(ChainFault fault)
    {
        Fault = fault;
        return false;
    }

    /// <summary>Adds the buffer of one descriptor. False when it broke a rule: see <see cref="Fault"/>.</summary>
    public bool TryAdd(ref GuestMemory memory, ulong address, uint length, bool writable, uint descriptor)
    {
        if (!writable && ReadableEnd != End)
            return Fail(ChainFaultKind.ReadableAfterWritable, descriptor);
        _bytes += length;
        if (_bytes > uint.MaxValue)
            return Fail(ChainFaultKind.TooManyBytes, _bytes);

        // Neighbouring regions need not be neighbours here, so a buffer may become several segments; an empty one, none.
        MemoryAccess access = writable ? MemoryAccess.Write : MemoryAccess.Read;
        while (length > 0)
        {
            uint piece = memory.TranslatePiece(address, Math.Min(length, Segment.MaxLength), access, out byte* host);
            if (piece == 0)
                return Fail(memory.FaultOf(address, 0, access));
            if (End == _limit)
                return Fail(ChainFaultKind.TooManyBuffers, (ulong)_storage.Length);
            _addresses?[Count] = address;
            *End++ = new Segment(host, piece);
            address += piece; // past 2^64 it starts at 0 again, where the rest must not be found:
            length -= piece;
            if (address == 0 && length > 0)
                return Fail(ChainFaultKind.AddressUnmapped, address);
        }

        if (!writable)
            ReadableEnd = End;
        return true;
    }

    /// <summary>Adds plain buffers in a loop. Nothing else may be added before <see cref="Cursor.TryClose"/>.</summary>
    [UnscopedRef, MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Cursor Open() => new(ref this);

    /// <summary>Adds the buffers that nearly all are: not empty, and in the region hit last.</summary>
    /// <remarks>
    /// What changes with every buffer is kept here, and here is a local: in a loop without calls it stays in registers,
    /// which took a split chain of three buffers from 17 ns to 13. All of it is always inlined: where the JIT leaves out a
    /// single call, because the profile says that it is rare, the cursor goes to memory for the whole method.
    /// </remarks>
    public ref struct Cursor
    {
        private readonly ref ChainSegments _segments;
        private Segment* _end;
        private ulong _bytes;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public Cursor(ref ChainSegments segments)
        {
            _segments = ref segments;
            _end = segments.End;
            _bytes = segments._bytes;
        }

        /// <summary>Adds a buffer if it is plain and in order. If not, nothing has changed, and <see cref="ChainSegments.TryAdd"/> finds out what it is.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public bool TryAdd(ref GuestMemory memory, ulong address, uint length, DescriptorFlags flags)
        {
            _bytes += length;
            if ((int)length <= 0 || !memory.TryTranslate(address, length, out byte* host) || _end == _segments._limit)
                return false;
            if ((flags & DescriptorFlags.Write) == 0)
            {
                if (_segments.ReadableEnd != _end)
                    return false;
                _segments.ReadableEnd = _end + 1;
            }

            *_end++ = new Segment(host, length);
            return true;
        }

        /// <summary>Puts what was added where it belongs. False when it is too much: then nothing of it counts.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly bool TryClose()
        {
            _segments.End = _end;
            _segments._bytes = _bytes;
            return _bytes <= uint.MaxValue; // looked at once: 2^32 buffers would have to be added before it overflows
        }
    }
}
