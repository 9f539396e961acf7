using System.Runtime.CompilerServices;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>A buffer of the chain at hand, translated and checked.</summary>
internal readonly unsafe struct Segment(byte* host, uint length)
{
    public readonly byte* Host = host;
    public readonly uint Length = length;
}

/// <summary>The buffers of the chain at hand: readable ones first, then writable ones. One per queue, used again for every chain.</summary>
internal unsafe struct ChainSegments
{
    // Pinned, so that a bare pointer into it stays good as long as the array is referenced.
    private readonly Segment[] _storage;
    private readonly Segment* _items;
    private ulong _bytes;

    public ChainSegments(int capacity)
    {
        _storage = GC.AllocateArray<Segment>(capacity, pinned: true);
        _items = (Segment*)Unsafe.AsPointer(ref _storage[0]);
    }

    public readonly Segment* Items => _items;

    /// <summary>The most buffers a chain may have.</summary>
    public readonly int Capacity => _storage.Length;

    public int Count { get; private set; }

    /// <summary>How many of them, from the front, the device reads.</summary>
    public int ReadableCount { get; private set; }

    public ChainFault Fault { get; private set; }

    public void Clear()
    {
        Count = 0;
        ReadableCount = 0;
        _bytes = 0;
        if (Fault.Kind != ChainFaultKind.None)
            Fault = default;
    }

    /// <summary>Notes what is wrong; the chain will be answered, not served.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public bool Fail(ChainFaultKind kind, ulong value)
    {
        Fault = new ChainFault(kind, value);
        return false;
    }

    /// <summary>Adds the buffer of one descriptor. False when it broke a rule: see <see cref="Fault"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryAdd(ref GuestMemory memory, ulong address, uint length, bool writable, uint descriptor)
    {
        if (!writable)
        {
            if (ReadableCount != Count)
                return Fail(ChainFaultKind.ReadableAfterWritable, descriptor);
        }

        _bytes += length;
        if (length == 0 || _bytes > uint.MaxValue || Count == _storage.Length || !memory.TryTranslate(address, length, out byte* host))
            return TryAddUnusual(ref memory, address, length, writable);

        _items[Count++] = new Segment(host, length);
        if (!writable)
            ReadableCount = Count;
        return true;
    }

    /// <summary>An empty buffer, one that spans regions, or one that is wrong.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryAddUnusual(ref GuestMemory memory, ulong address, uint length, bool writable)
    {
        if (_bytes > uint.MaxValue)
            return Fail(ChainFaultKind.TooManyBytes, _bytes);

        // Neighbouring regions need not be neighbours here, so a buffer may become several segments.
        while (length > 0)
        {
            uint piece = memory.TranslatePiece(address, length, out byte* host);
            if (piece == 0)
                return Fail(ChainFaultKind.AddressUnmapped, address);
            if (Count == _storage.Length)
                return Fail(ChainFaultKind.TooManyBuffers, (ulong)_storage.Length);
            _items[Count++] = new Segment(host, piece);
            address += piece; // past 2^64 it starts at 0 again, where the rest must not be found:
            length -= piece;
            if (address == 0 && length > 0)
                return Fail(ChainFaultKind.AddressUnmapped, address);
        }

        if (!writable)
            ReadableCount = Count;
        return true;
    }
}
