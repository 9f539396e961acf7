using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Devices.Block;

/// <summary>What a back-end is asked to do.</summary>
public enum BlockOperationKind
{
    /// <summary>Fill the buffers.</summary>
    Read,
    /// <summary>Store the buffers.</summary>
    Write,
    /// <summary>Make stable what was completed before.</summary>
    Flush,
    /// <summary>The range is not needed any more; what it reads afterwards is anything.</summary>
    Discard,
    /// <summary>The range reads zero.</summary>
    WriteZeroes,
}

/// <summary>One operation on its way through a back-end: what to do, and whom to tell. Used again, so nothing is allocated per request.</summary>
public sealed class BlockOperation
{
    /// <summary>§5.2.6 knows no limit for the ranges of a request, so it is the device's: max_discard_seg and max_write_zeroes_seg.</summary>
    internal const int MaxRanges = 16;

    private readonly BlockDevice _device;
    private IoBuffer[] _buffers = GC.AllocateUninitializedArray<IoBuffer>(64, pinned: true);
    private int _bufferCount;
    private BlockRange[]? _ranges;
    private int _rangeCount, _nextRange;

    internal BlockOperation(BlockDevice device) => _device = device;

    /// <summary>What to do.</summary>
    public BlockOperationKind Kind { get; private set; }

    /// <summary>The queue it came from.</summary>
    public int Queue { get; private set; }

    /// <summary>Where, in bytes; a multiple of 512. 0 for a flush.</summary>
    public long Offset { get; private set; }

    /// <summary>How many bytes, a multiple of 512. 0 for a flush.</summary>
    public long Length { get; private set; }

    /// <summary>Whether a write or zeroes must be stable when they are completed (§5.2.6.2).</summary>
    public bool MustBeStable { get; private set; }

    /// <summary>Whether zeroes may give storage back.</summary>
    public bool MayUnmap { get; private set; }

    /// <summary>The memory of a read or a write, <see cref="Length"/> bytes in all. Its memory is pinned, and the back-end may use it up.</summary>
    public Span<IoBuffer> Buffers => _buffers.AsSpan(0, _bufferCount);

    /// <summary>The request's chain while it is held.</summary>
    internal PendingChain? Chain { get; set; }

    /// <summary>How it ended, while its submitter has not looked.</summary>
    internal BlockStatus? Ended { get; set; }

    /// <summary>Whether the device is in <see cref="IBlockBackend.Submit"/> with it.</summary>
    internal bool IsBeingSubmitted { get; set; }

    /// <summary>It is done, or it failed. On the host's thread, once. A request with more to do comes back to <see cref="IBlockBackend.Submit"/> from in here.</summary>
    /// <param name="status">Ok, IoError, or Unsupported.</param>
    public void Complete(BlockStatus status)
    {
        Ended = status;
        if (!IsBeingSubmitted)
            _device.OnCompleted(this);
    }

    /// <summary>It was given up, in <see cref="IBlockBackend.Suspend"/>: nothing touches its memory any more. In place of <see cref="Complete"/>.</summary>
    public void Abandon() => _device.OnAbandoned(this);

    internal void Begin(BlockOperationKind kind, int queue, bool mustBeStable)
    {
        (Kind, Queue, MustBeStable, MayUnmap, Ended, Chain) = (kind, queue, mustBeStable, false, null, null);
        (Offset, Length, _bufferCount, _rangeCount, _nextRange) = (0, 0, 0, 0, 0);
    }

    internal void At(long offset) => Offset = offset;

    internal void Add(ReadOnlySpan<byte> bytes)
    {
        if (_bufferCount == _buffers.Length)
            Grow();
        _buffers[_bufferCount++] = IoBuffer.OfChain(bytes);
        Length += bytes.Length;
    }

    internal void Add(BlockRange range)
    {
        _ranges ??= new BlockRange[MaxRanges];
        _ranges[_rangeCount++] = range;
    }

    /// <summary>Goes on with the next range of a request that has several.</summary>
    /// <returns>False when there is none left.</returns>
    internal bool MoveToNextRange()
    {
        if (_nextRange == _rangeCount)
            return false;
        BlockRange range = _ranges![_nextRange++];
        (Offset, Length) = ((long)range.Sector * BlockLayout.SectorBytes, (long)range.Count * BlockLayout.SectorBytes);
        (MayUnmap, Ended) = ((range.Flags & BlockRange.Unmap) != 0, null);
        return true;
    }

    private void Grow()
    {
        IoBuffer[] larger = GC.AllocateUninitializedArray<IoBuffer>(_buffers.Length * 2, pinned: true);
        _buffers.CopyTo(larger, 0);
        _buffers = larger;
    }
}
