using VirtioSharp.Core.Errors;

namespace VirtioSharp.Core.Queues;

/// <summary>Our own copy of how the states of a packed region hang together: a list of those that are free, and the chains in flight.</summary>
/// <remarks>What the region says is read once, here, and checked: every state is either free or in one chain.</remarks>
internal sealed unsafe class PackedFreeList
{
    private readonly DescStatePacked* _states;
    private readonly ushort[] _next;
    private readonly ushort[] _last;  // of the chain, by its head
    private readonly ushort[] _slots; // as well
    private readonly ushort[] _id;    // as well

    /// <exception cref="QueueException">The list loops, or leaves the region.</exception>
    public PackedFreeList(DescStatePacked* states, int count, int head)
    {
        _states = states;
        Head = head;
        (_next, _last, _slots, _id) = (new ushort[count], new ushort[count], new ushort[count], new ushort[count]);
        for (int i = 0; i < count; i++)
            _next[i] = states[i].Next;

        var isTaken = new bool[count];
        for (; head != count; head = _next[head], Left++)
            Take(isTaken, head, "the free list");
        Taken = isTaken;
    }

    /// <summary>The first that is free; as many as there are when none is.</summary>
    public int Head { get; private set; }

    /// <summary>How many are free.</summary>
    public int Left { get; private set; }

    /// <summary>Those that are free, while no chain has been looked for.</summary>
    public IEnumerable<ushort> Free
    {
        get
        {
            for (int at = Head; at != _next.Length; at = _next[at])
                yield return (ushort)at;
        }
    }

    private bool[] Taken { get; }

    public int NextOf(int state) => _next[state];

    public ushort LastOf(int head) => _last[head];

    public int SlotsOf(int head) => _slots[head];

    public ushort IdOf(int head) => _id[head];

    /// <summary>Takes the first that is free.</summary>
    /// <returns>The one after it.</returns>
    public int Take()
    {
        Left--;
        return Head = _next[Head];
    }

    /// <summary>What was taken from <paramref name="head"/> on is this chain.</summary>
    public void Keep(int head, RingChain chain)
    {
        int last = head;
        for (int slot = 1; slot < chain.Slots; slot++)
            last = _next[last];
        (_last[head], _slots[head], _id[head]) = ((ushort)last, chain.Slots, chain.Id);
    }

    /// <summary>A chain is free again, at the front.</summary>
    public void GiveBack(int head)
    {
        _next[_last[head]] = (ushort)Head;
        (Head, Left) = (head, Left + _slots[head]);
    }

    /// <summary>Finds the chains in flight, in the order of their counters.</summary>
    /// <returns>Their heads, and how many entries of the ring they take.</returns>
    /// <exception cref="QueueException">They overlap, name what is not there, or leave states over.</exception>
    public (ushort[] Heads, int Slots) FindChains(int size, out ulong nextCounter)
    {
        var found = new List<(ulong Counter, ushort Head)>();
        var ids = new bool[size];
        int slots = 0;
        nextCounter = 0;
        for (int head = 0; head < _next.Length; head++)
        {
            DescStatePacked state = _states[head]; // the only read of it
            if (state.Inflight == 0 || Taken[head])
                continue;
            int last = head;
            Take(Taken, head, $"the chain at {head}");
            for (int slot = 1; slot < state.Num; slot++)
                Take(Taken, last = _next[last], $"the chain at {head}");
            ushort id = _states[last].Id;
            if (state.Num == 0 || last != state.Last || id >= size || ids[id])
                throw new QueueException($"in-flight region: the chain at {head} has num = {state.Num}, last = {state.Last}, id = {id}, which cannot be");
            Keep(head, new RingChain(id, state.Num));
            ids[id] = true;
            slots += state.Num;
            found.Add((state.Counter, (ushort)head));
            nextCounter = Math.Max(nextCounter, state.Counter + 1);
        }

        if (slots + Left != _next.Length || slots > size)
            throw new QueueException($"in-flight region: {Left} states are free and {slots} in flight, of {_next.Length} for {size} entries");
        found.Sort();
        return ([.. found.Select(chain => chain.Head)], slots);
    }

    private static void Take(bool[] isTaken, int state, string by)
    {
        if (state >= isTaken.Length)
            throw new QueueException($"in-flight region: {by} goes on at state {state} of {isTaken.Length}");
        if (isTaken[state])
            throw new QueueException($"in-flight region: {by} comes to state {state}, which is taken: it loops");
        isTaken[state] = true;
    }
}
