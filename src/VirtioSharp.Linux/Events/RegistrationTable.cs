namespace VirtioSharp.Linux;

/// <summary>Which handler an event belongs to, and whether that handler still wants it.</summary>
/// <remarks>
/// The kernel reports events in batches; the first handler of a batch may remove the second, whose slot may be given to a
/// third. So a token names a slot <i>and</i> how often it has changed hands, and an event with an old count is dropped.
/// <code> 63          32 31        0
/// [ generation  |   slot    ]</code>
/// </remarks>
internal sealed class RegistrationTable
{
    private readonly Stack<int> _free = new();
    private Slot[] _slots = new Slot[8];
    private int _used;

    private struct Slot
    {
        public uint Generation;
        public EventRegistration? Registration;
    }

    public ulong Insert(EventRegistration registration)
    {
        if (!_free.TryPop(out int index))
        {
            index = _used++;
            if (index == _slots.Length)
                Array.Resize(ref _slots, index * 2);
        }

        ref Slot slot = ref _slots[index];
        slot.Registration = registration;
        return (ulong)slot.Generation << 32 | (uint)index;
    }

    public void Remove(ulong token)
    {
        ref Slot slot = ref _slots[(uint)token];
        slot.Registration = null;
        slot.Generation++;
        _free.Push((int)(uint)token);
    }

    /// <summary>Null for an event that is stale.</summary>
    public EventRegistration? Find(ulong token)
    {
        ref Slot slot = ref _slots[(uint)token];
        return slot.Generation == (uint)(token >> 32) ? slot.Registration : null;
    }

    public void Clear()
    {
        for (int i = 0; i < _used; i++)
            _slots[i].Registration?.Dispose();
    }
}
