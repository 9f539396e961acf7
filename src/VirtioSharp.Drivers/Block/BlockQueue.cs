using System.Runtime.InteropServices;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec.Block;

namespace VirtioSharp.Drivers.Block;

/// <summary>One request queue: turns requests into chains and chains into results. Allocates nothing after its start.</summary>
/// <remarks>Every request in flight has a slot: its header, range and status in memory that the device sees, the rest of it here.</remarks>
internal sealed class BlockQueue
{
    /// <summary>A cache line for each, so that what devices write to one costs the others nothing.</summary>
    private const int SlotBytes = 64;
    private const int RangeOffset = BlockRequestHeader.Size;
    private const int StatusOffset = RangeOffset + BlockRange.Size;

    private readonly DriverQueue _queue;
    private readonly DmaBuffer _memory;
    private readonly Slot[] _slots;
    private readonly bool[] _isOut; // by slot: the device has it
    private readonly ushort[] _free;
    private readonly ushort[] _slotOf; // by the chain's id
    private readonly DmaBuffer[] _buffers;
    private readonly int _maxSegmentBytes;
    private readonly int _firstSlot;
    private int _freeCount;
    private bool _hasNews, _isClosed;

    public BlockQueue(DriverQueue queue, DmaArena arena, BlockProperties properties, int firstSlot)
    {
        (_queue, _firstSlot, _maxSegmentBytes) = (queue, firstSlot, properties.MaxSegmentBytes);
        int size = queue.Layout.Size;
        _memory = arena.Allocate(size * SlotBytes);
        (_slots, _isOut, _free, _slotOf) = (new Slot[size], new bool[size], new ushort[size], new ushort[size]);
        for (; _freeCount < size; _freeCount++)
            _free[_freeCount] = (ushort)(size - 1 - _freeCount);
        _buffers = new DmaBuffer[properties.MaxSegments + 2];
    }

    /// <summary>Most requests that can be in flight.</summary>
    public int SlotCount => _slots.Length;

    /// <summary>Chains that the device has.</summary>
    public int InFlight { get; private set; }

    /// <summary>Adds a request that has been checked. The device sees it with the next <see cref="Kick"/>.</summary>
    /// <returns>False when there is no room.</returns>
    public bool TrySubmit(in BlockRequest request, ulong number, bool isBlocking, out BlockToken token)
    {
        token = default;
        if (_freeCount == 0)
            return false;
        ushort slot = _free[_freeCount - 1];
        int count = Fill(_memory.Slice(slot * SlotBytes, SlotBytes), request);
        int readable = request.DeviceWrites ? 1 : count - 1;
        if (!_queue.TryAdd(_buffers.AsSpan(0, readable), _buffers.AsSpan(readable, count - readable), out ushort id))
            return false;
        _freeCount--;
        _slotOf[id] = slot;
        token = new BlockToken(number, _firstSlot + slot);
        _slots[slot] = new Slot(token, request, isBlocking);
        _isOut[slot] = true;
        InFlight++;
        _hasNews = true;
        return true;
    }

    /// <summary>Shows the device what was added.</summary>
    public void Kick()
    {
        if (_hasNews)
            _queue.Kick();
        _hasNews = false;
    }

    /// <summary>Takes a result. Its slot stays taken until <see cref="Release"/>.</summary>
    public bool TryTake(out BlockResult result, out bool isBlocking)
    {
        if (_queue.TryGet(out ushort id, out uint length))
        {
            result = Judge(id, length, out isBlocking);
            return true;
        }

        (result, isBlocking) = (default, false);
        return false;
    }

    /// <summary>Waits for this queue alone, and takes a result as <see cref="TryTake"/> does.</summary>
    /// <returns>False when the time ran out.</returns>
    public bool Wait(TimeSpan timeout, out BlockResult result)
    {
        bool came = _queue.Wait(timeout, out ushort id, out uint length);
        result = came ? Judge(id, length, out _) : default;
        return came;
    }

    /// <summary>The device has been reset: takes back a request that it had, as <see cref="TryTake"/> takes an answered one.</summary>
    public bool TryAbandon(out BlockResult result, out bool isBlocking)
    {
        (result, isBlocking, _hasNews) = (default, false, false);
        int index = Array.IndexOf(_isOut, true);
        if (index < 0)
            return false;
        InFlight--;
        _isOut[index] = false;
        (result, isBlocking) = (ResultOf(_slots[index], BlockOutcome.Lost, BlockResult.Untouched), _slots[index].IsBlocking);
        return true;
    }

    /// <summary>The device is lost, and the memory with it: no slot is free any more.</summary>
    public void Close() => (_freeCount, _isClosed) = (0, true);

    /// <summary>Somebody has the result: the slot is free.</summary>
    public void Release(BlockToken token)
    {
        if (!_isClosed)
            _free[_freeCount++] = (ushort)(token.Slot - _firstSlot);
    }

    /// <summary>Header, data, status (§5.2.6): written into the slot, and listed in <see cref="_buffers"/>.</summary>
    private int Fill(DmaBuffer memory, in BlockRequest request)
    {
        MemoryMarshal.Write(memory.Span, new BlockRequestHeader(request.Type, request.HasRange ? 0 : request.Sector));
        _buffers[0] = memory.Slice(0, BlockRequestHeader.Size);
        int count = 1;
        if (request.HasRange)
        {
            MemoryMarshal.Write(memory.Span[RangeOffset..], new BlockRange(request.Sector, (uint)request.Sectors, request.MayUnmap ? BlockRange.Unmap : 0));
            _buffers[count++] = memory.Slice(RangeOffset, BlockRange.Size);
        }

        for (int at = 0; at < request.Data.Length; at += _maxSegmentBytes)
            _buffers[count++] = request.Data.Slice(at, Math.Min(_maxSegmentBytes, request.Data.Length - at));
        memory.Span[StatusOffset] = (byte)BlockResult.Untouched;
        _buffers[count++] = memory.Slice(StatusOffset, 1);
        return count;
    }

    private BlockResult Judge(ushort id, uint length, out bool isBlocking)
    {
        InFlight--;
        int index = _slotOf[id];
        _isOut[index] = false;
        ref Slot slot = ref _slots[index];
        isBlocking = slot.IsBlocking;
        var status = (BlockStatus)_memory.Span[index * SlotBytes + StatusOffset]; // read once
        BlockOutcome outcome = status switch
        {
            // Whether the status was written it shows itself, and devices are known that do not count it. What was
            // read shows nothing: only the length tells it from what lay there before (§2.7.8.2).
            BlockStatus.Ok => slot.Request.DeviceWrites && length < (uint)slot.Request.Data.Length ? BlockOutcome.TooShort : BlockOutcome.Done,
            BlockStatus.IoError => BlockOutcome.IoError,
            BlockStatus.Unsupported => BlockOutcome.Unsupported,
            BlockResult.Untouched => BlockOutcome.NoStatus,
            _ => BlockOutcome.UnknownStatus,
        };
        return ResultOf(slot, outcome, status);
    }

    private static BlockResult ResultOf(in Slot slot, BlockOutcome outcome, BlockStatus status) =>
        new(slot.Token, slot.Request.Type, slot.Request.Sector, slot.Request.Sectors, outcome, status);

    private readonly record struct Slot(BlockToken Token, BlockRequest Request, bool IsBlocking);
}
