using System.Runtime.CompilerServices;
using VirtioSharp.Core.Errors;

namespace VirtioSharp.Core.Queues;

/// <summary>One request as the device sees it: bytes to read, then room to write (§2.6). Borrowed for one call.</summary>
/// <remarks>
/// The queue completes the chain when the call returns, with as many bytes as were advanced over, so a device cannot
/// forget it. The driver may change the bytes while the device looks at them: copy what must not change
/// (<see cref="ReadExactly"/>), then check the copy.
/// </remarks>
public unsafe ref struct DeviceChain
{
    private Segment* _readable;
    private Segment* _writable;
    private readonly Segment* _readableEnd;
    private readonly Segment* _writableEnd;
    private readonly DeviceQueue _queue;
    private uint _readOffset;
    private uint _writeOffset;

    internal DeviceChain(DeviceQueue queue, Segment* readable, Segment* writable, Segment* end, uint written = 0, ChainFate fate = ChainFate.Completed)
    {
        _queue = queue;
        _readable = readable;
        _writable = _readableEnd = writable;
        _writableEnd = end;
        Written = written;
        Fate = fate;
    }

    /// <summary>Bytes written so far: the length the driver will be told.</summary>
    public uint Written { get; private set; }

    /// <summary>What becomes of the chain when the call returns.</summary>
    internal ChainFate Fate { get; private set; }

    /// <summary>Bytes that are left to read.</summary>
    public readonly uint ReadableLeft => Left(_readable, _readableEnd, _readOffset);

    /// <summary>Bytes that there is still room for.</summary>
    public readonly uint WritableLeft => Left(_writable, _writableEnd, _writeOffset);

    /// <summary>Takes the next contiguous bytes to read.</summary>
    /// <returns>False when everything has been read.</returns>
    public bool TryNextReadable(out ReadOnlySpan<byte> bytes)
    {
        if (_readable == _readableEnd)
        {
            bytes = default;
            return false;
        }

        bytes = Rest(_readable++, _readOffset);
        _readOffset = 0;
        return true;
    }

    /// <summary>Copies the next bytes, wherever the driver cut its buffers (§2.6.4 leaves the framing to it).</summary>
    /// <exception cref="ChainException">Fewer are left: the request is too short.</exception>
    public void ReadExactly(scoped Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            if (_readable == _readableEnd)
                ThrowTooShort("readable", destination.Length);
            ReadOnlySpan<byte> piece = Rest(_readable, _readOffset);
            piece = piece[..Math.Min(piece.Length, destination.Length)];
            piece.CopyTo(destination);
            Move(ref _readable, ref _readOffset, (uint)piece.Length);
            destination = destination[piece.Length..];
        }
    }

    /// <summary>Finds the next contiguous room to write. It stays the next until <see cref="Advance"/> says how much was filled.</summary>
    /// <returns>False when there is no room left.</returns>
    public readonly bool TryNextWritable(out Span<byte> room)
    {
        if (_writable == _writableEnd)
        {
            room = default;
            return false;
        }

        room = Rest(_writable, _writeOffset);
        return true;
    }

    /// <summary>Says that the first <paramref name="bytes"/> of the room last found have been filled.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The room was smaller.</exception>
    public void Advance(int bytes)
    {
        uint room = _writable == _writableEnd ? 0 : _writable->Length - _writeOffset;
        if ((uint)bytes > room)
            ThrowTooFar(bytes, room);
        if (room == 0)
            return;
        Move(ref _writable, ref _writeOffset, (uint)bytes);
        Written += (uint)bytes;
    }

    /// <summary>Writes all of <paramref name="source"/>, wherever the driver cut its buffers.</summary>
    /// <exception cref="ChainException">There is less room: the request's answer does not fit.</exception>
    public void Write(scoped ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            if (!TryNextWritable(out Span<byte> room))
                ThrowTooShort("writable", source.Length);
            int piece = Math.Min(room.Length, source.Length);
            source[..piece].CopyTo(room);
            Advance(piece);
            source = source[piece..];
        }
    }

    /// <summary>Gives the chain back unserved: it stays the queue's next, and the queue rests until the device is woken.</summary>
    /// <remarks>For a device that cannot serve anybody now (a rate limit). Ask to be woken first: <c>VirtioDevice.WakeAfter</c>.</remarks>
    /// <exception cref="InvalidOperationException">Something was already written, or the chain is held.</exception>
    public void Postpone()
    {
        if (Written != 0)
            throw new InvalidOperationException($"{Written} bytes of the chain are written: it can be completed, not postponed");
        MustBeUndecided();
        Fate = ChainFate.Postponed;
    }

    /// <summary>Keeps the chain, to be completed later and in any order, while the queue goes on with the next.</summary>
    /// <remarks>What was read and written before stays so. Do not touch this chain any more; use <see cref="PendingChain.Open"/>.</remarks>
    /// <exception cref="InvalidOperationException">It is postponed or held already.</exception>
    public PendingChain Hold()
    {
        MustBeUndecided();
        Fate = ChainFate.Held;
        return _queue.Hold(ref this);
    }

    /// <summary>Moves what is left into <paramref name="into"/>.</summary>
    internal readonly void CopyRest(PendingChain into, RingChain chain)
    {
        // Cutting the first segments in place is fine: nobody looks at the chain any more.
        Cut(_readable, _readableEnd, _readOffset);
        Cut(_writable, _writableEnd, _writeOffset);
        into.Hold(chain, new(_readable, (int)(_readableEnd - _readable)), new(_writable, (int)(_writableEnd - _writable)), Written);
    }

    private static void Cut(Segment* first, Segment* end, uint offset)
    {
        if (first < end)
            *first = new Segment(first->Host + offset, first->Length - offset);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Span<byte> Rest(Segment* segment, uint offset) => new(segment->Host + offset, (int)(segment->Length - offset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Move(ref Segment* segment, ref uint offset, uint bytes)
    {
        // Each field is read once and written once: the chain lies in memory, whoever looks at it.
        uint end = offset + bytes;
        if (end == segment->Length)
        {
            segment++;
            end = 0;
        }

        offset = end;
    }

    private static uint Left(Segment* segment, Segment* end, uint offset)
    {
        uint left = 0; // cannot overflow: a chain of more than 2^32 - 1 bytes was refused
        for (; segment < end; segment++)
            left += segment->Length;
        return left - offset;
    }

    private readonly void MustBeUndecided()
    {
        if (Fate != ChainFate.Completed)
            throw new InvalidOperationException("the chain is postponed or held already");
    }

    private static void ThrowTooFar(int bytes, uint room) =>
        throw new ArgumentOutOfRangeException(nameof(bytes), bytes, $"the room found has {room} bytes");

    private static void ThrowTooShort(string part, int bytes) =>
        throw new ChainException($"the {part} part of the request ends {bytes} bytes too early");
}

/// <summary>What becomes of a chain after its device has looked at it.</summary>
internal enum ChainFate : byte
{
    /// <summary>It is completed.</summary>
    Completed,
    /// <summary>It stays the queue's next.</summary>
    Postponed,
    /// <summary>It is completed later.</summary>
    Held,
}
