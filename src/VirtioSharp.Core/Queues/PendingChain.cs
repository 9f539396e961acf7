using System.Numerics;
using System.Runtime.CompilerServices;
using VirtioSharp.Core.Memory;

namespace VirtioSharp.Core.Queues;

/// <summary>A request that is answered later: kept with <see cref="DeviceChain.Hold"/>, given back with <see cref="Complete"/>.</summary>
/// <remarks>
/// On the host's thread only, like everything of a device. Its memory stays mapped until it is completed or its queue
/// stops. Before that the device is asked to finish (<c>VirtioDevice.OnStopping</c>); what it has not finished then is
/// abandoned: it must not be touched any more, and completing it does nothing.
/// The objects are used again, one for each name that a chain can have, so holding allocates only at first.
/// </remarks>
public sealed unsafe class PendingChain
{
    private readonly DeviceQueue _queue;
    private Segment[] _storage = []; // pinned
    private int _readableCount;
    private int _count;
    private bool _isPending;
    private Segment[] _writable = [];
    private int _writableCount;
    private (GuestAddress Start, uint Length)[] _used = [];
    private int _usedCount;

    internal PendingChain(DeviceQueue queue) => _queue = queue;

    /// <summary>Whether it waits to be completed: not once it is, nor when its queue has stopped.</summary>
    public bool IsPending => _isPending && !_queue.IsStopped;

    /// <summary>Bytes that were written before it was held: a part of the length the driver will be told.</summary>
    public uint Written { get; private set; }

    /// <summary>What a ring must know of it.</summary>
    internal RingChain Chain { get; private set; }

    /// <summary>With IN_ORDER: what the driver will be told when all chains before it are completed. Null while it is pending.</summary>
    internal uint? Answer { get; private set; }

    /// <summary>Whether its name is taken: it is pending, or waits for those before it.</summary>
    internal bool IsTaken { get; private set; }

    /// <summary>All that the device may write to, from the start on, while that is logged: what it asks others to write is written when it completes.</summary>
    internal ReadOnlySpan<Segment> Writable => _writable.AsSpan(0, _writableCount);

    private Segment* Items => (Segment*)Unsafe.AsPointer(ref System.Runtime.InteropServices.MemoryMarshal.GetArrayDataReference(_storage));

    /// <summary>What was left to read and to write when it was held. Each time it is opened it starts there.</summary>
    /// <exception cref="InvalidOperationException">It is not pending any more.</exception>
    public DeviceChain Open()
    {
        MustBePending();
        Segment* items = Items;
        return new DeviceChain(_queue, items, items + _readableCount, items + _count, Written, ChainFate.Held);
    }

    /// <summary>Completes it. The driver is told together with the others that complete in this turn.</summary>
    /// <param name="written">Bytes written in all, from the start of the writable part: <see cref="DeviceChain.Written"/>.</param>
    /// <exception cref="InvalidOperationException">It has been completed before.</exception>
    public void Complete(uint written)
    {
        if (_queue.IsStopped)
            return;
        MustBePending();
        (_isPending, Answer) = (false, written);
        _queue.Complete(this);
    }

    /// <summary>Keeps what is left of a chain: <paramref name="readable"/> buffers, then writable ones.</summary>
    internal void Hold(RingChain chain, ReadOnlySpan<Segment> readable, ReadOnlySpan<Segment> writable, uint written)
    {
        (_readableCount, _count) = (readable.Length, readable.Length + writable.Length);
        if (_storage.Length < _count)
            _storage = GC.AllocateUninitializedArray<Segment>((int)BitOperations.RoundUpToPowerOf2((uint)_count), pinned: true);
        readable.CopyTo(_storage);
        writable.CopyTo(_storage.AsSpan(_readableCount));
        (Chain, Written, Answer, _isPending, IsTaken) = (chain, written, null, true, true);
    }

    /// <summary>Keeps what <see cref="Writable"/> gives back.</summary>
    internal void KeepWritable(ReadOnlySpan<Segment> writable)
    {
        _writableCount = writable.Length;
        if (_writable.Length < _writableCount)
            _writable = new Segment[_writableCount];
        writable.CopyTo(_writable);
    }

    /// <summary>Keeps the place of a chain that is answered already.</summary>
    internal void HoldAnswered(RingChain chain, uint answer) => (Chain, Answer, _isPending, IsTaken) = (chain, answer, false, true);

    /// <summary>Keeps where all of it lies behind an IOMMU, from the start on: a device goes on with what it moved over before it held the chain.</summary>
    internal void KeepAddresses(in ChainSegments segments)
    {
        _usedCount = segments.Count;
        if (_used.Length < _usedCount)
            _used = new (GuestAddress, uint)[BitOperations.RoundUpToPowerOf2((uint)_usedCount)];
        for (int i = 0; i < _usedCount; i++)
            _used[i] = (new GuestAddress(segments.Addresses[i]), segments.Items[i].Length);
    }

    /// <summary>Whether any of it lies among some I/O addresses.</summary>
    internal bool IsAmong(GuestAddress start, ulong bytes)
    {
        foreach ((GuestAddress used, uint length) in _used.AsSpan(0, _usedCount))
            if (start.Value - used.Value < length || used.Value - start.Value < bytes)
                return true;
        return false;
    }

    /// <summary>Its name is free again.</summary>
    internal void Release() => (_isPending, IsTaken) = (false, false);

    private void MustBePending()
    {
        if (!IsPending)
            throw new InvalidOperationException("the chain is completed already, or its queue has stopped");
    }
}
