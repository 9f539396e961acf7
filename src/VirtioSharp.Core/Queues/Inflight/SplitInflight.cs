using VirtioSharp.Core.Errors;

namespace VirtioSharp.Core.Queues;

/// <summary>Notes in a shared region which chains of a split ring are in flight, and finds what an earlier life left there.</summary>
/// <remarks>
/// <code>
///  taken:  counter, inflight = 1
///  used:   next and last_batch_head, for each of a batch  →  used.idx in the ring  →  inflight = 0, for each  →  used_idx
/// </code>
/// Where used_idx and the ring's index differ, the device died in the last two steps, and the batch's list says what is
/// not in flight any more. Processes die between two instructions, so the order of the writes is all that counts.
/// </remarks>
internal sealed unsafe class SplitInflight
{
    private readonly QueueRegionSplit* _region;
    private readonly DescStateSplit* _states;
    private readonly Action? _afterWrite;
    private readonly ushort[] _batch; // used, and not shown to the driver yet
    private readonly ushort[] _owed;  // left over from an earlier life, in the order of their counters
    private int _batchCount;
    private int _owedServed;
    private ulong _counter;

    /// <exception cref="QueueException">The region says what cannot be: the message names the field.</exception>
    public SplitInflight(InflightRegion region, int size, ushort usedIndex)
    {
        _region = (QueueRegionSplit*)region.Address;
        _states = (DescStateSplit*)(_region + 1);
        _afterWrite = region.AfterWrite;
        _batch = new ushort[size];
        ushort version = Volatile.Read(ref _region->Version);
        InflightRules.Check(_region->Features, version, _region->DescNum, region.Descriptors, size);
        if (version == 0)
            Begin(region.Descriptors, usedIndex);
        else
            FinishLastBatch(size, usedIndex);
        _owed = FindOwed(size);
    }

    /// <summary>Chains of an earlier life that are still to be served.</summary>
    public int Owed => _owed.Length - _owedServed;

    /// <summary>The next of them.</summary>
    public ushort TakeOwed() => _owed[_owedServed++];

    /// <summary>The one taken last is to be served later.</summary>
    public void ReturnOwed() => _owedServed--;

    /// <summary>A chain was taken from the ring.</summary>
    public void Take(ushort head)
    {
        DescStateSplit* state = _states + head;
        Volatile.Write(ref state->Counter, _counter++);
        Wrote();
        Volatile.Write(ref state->Inflight, 1);
        Wrote();
    }

    /// <summary>It was put back.</summary>
    public void Return(ushort head)
    {
        Volatile.Write(ref _states[head].Inflight, 0);
        Wrote();
    }

    /// <summary>A chain is in the used ring, where the driver does not see it yet.</summary>
    public void Use(ushort head)
    {
        if (_batchCount == _batch.Length)
            throw new QueueException($"chain {head} is one more than the {_batch.Length} that can be in flight");
        _batch[_batchCount++] = head;
        Wrote();
    }

    /// <summary>All that was used is about to be shown.</summary>
    public void Prepare()
    {
        ushort last = _batchCount == 0 ? default : Volatile.Read(ref _region->LastBatchHead);
        foreach (ushort head in _batch.AsSpan(0, _batchCount))
        {
            Volatile.Write(ref _states[head].Next, last);
            Wrote();
            Volatile.Write(ref _region->LastBatchHead, last = head);
            Wrote();
        }
    }

    /// <summary>The driver sees it.</summary>
    public void Commit(ushort usedIndex)
    {
        if (_batchCount == 0)
            return;
        Wrote();
        foreach (ushort head in _batch.AsSpan(0, _batchCount))
        {
            Volatile.Write(ref _states[head].Inflight, 0);
            Wrote();
        }

        Volatile.Write(ref _region->UsedIdx, usedIndex);
        Wrote();
        _batchCount = 0;
    }

    private void Begin(int descriptors, ushort usedIndex)
    {
        new Span<DescStateSplit>(_states, descriptors).Clear();
        (_region->Features, _region->DescNum, _region->LastBatchHead, _region->UsedIdx) = (0, (ushort)descriptors, 0, usedIndex);
        Volatile.Write(ref _region->Version, QueueRegionSplit.CurrentVersion); // last: what is half made is made anew
        Wrote();
    }

    private void FinishLastBatch(int size, ushort usedIndex)
    {
        ushort count = (ushort)(usedIndex - _region->UsedIdx);
        if (count > size)
            throw new QueueException($"in-flight region: used_idx = {_region->UsedIdx} is {count} behind the ring's {usedIndex}, which has {size} entries");
        ushort head = _region->LastBatchHead;
        for (; count > 0; count--)
        {
            if (head >= size)
                throw new QueueException($"in-flight region: the last batch names descriptor {head} of {size}");
            Volatile.Write(ref _states[head].Inflight, 0);
            Wrote();
            head = _states[head].Next;
        }

        Volatile.Write(ref _region->UsedIdx, usedIndex);
        Wrote();
    }

    private ushort[] FindOwed(int size)
    {
        var owed = new List<(ulong Counter, ushort Head)>();
        for (int head = 0; head < size; head++)
        {
            ulong counter = _states[head].Counter;
            if (_states[head].Inflight == 0)
                continue;
            owed.Add((counter, (ushort)head));
            _counter = Math.Max(_counter, counter + 1);
        }

        owed.Sort();
        return [.. owed.Select(chain => chain.Head)];
    }

    private void Wrote() => _afterWrite?.Invoke();
}
