using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Drivers.Console;

/// <summary>The buffers of a queue that the device empties: who writes waits only when it has them all.</summary>
internal sealed class TransmitBuffers
{
    private readonly DriverQueue _queue;
    private readonly DmaBuffer[] _buffers;
    private readonly Stack<int> _free;
    private readonly List<int> _out; // what the device has, in order
    private readonly int[] _lengths;
    private readonly int[] _bufferOf; // by the chain's id

    public TransmitBuffers(DriverQueue queue, DmaArena arena, int count, int bytes)
    {
        _queue = queue;
        _buffers = [.. Enumerable.Range(0, Math.Min(count, queue.Layout.Size)).Select(_ => arena.Allocate(bytes))];
        (_free, _bufferOf) = (new Stack<int>(Enumerable.Range(0, _buffers.Length)), new int[queue.Layout.Size]);
        (_out, _lengths) = (new List<int>(_buffers.Length), new int[_buffers.Length]);
    }

    /// <summary>Gives bytes to the device, and waits until it has room for them.</summary>
    /// <param name="source">What to send.</param>
    /// <param name="timeout">The longest to wait for each buffer.</param>
    /// <returns>How many bytes the device was given: fewer only when the time ran out.</returns>
    public int Send(ReadOnlySpan<byte> source, TimeSpan timeout)
    {
        int sent = 0;
        while (sent < source.Length && Acquire(timeout))
        {
            int buffer = _free.Pop();
            DmaBuffer memory = _buffers[buffer];
            int bytes = _lengths[buffer] = Math.Min(memory.Length, source.Length - sent);
            source.Slice(sent, bytes).CopyTo(memory.Span);
            _out.Add(buffer);
            Add(buffer);
            _queue.Kick();
            sent += bytes;
        }

        return sent;
    }

    /// <summary>Waits until the device has taken everything.</summary>
    public bool Drain(TimeSpan timeout)
    {
        while (_free.Count < _buffers.Length)
            if (!Take(timeout))
                return false;
        return true;
    }

    /// <summary>The ring has been emptied, and the device is live again: what it had not said to have taken, it gets once more.</summary>
    public void Repeat()
    {
        foreach (int buffer in _out)
            Add(buffer);
        _queue.Kick();
    }

    /// <summary>The ring has been emptied, and nobody wants what was in it any more.</summary>
    public void Forget()
    {
        foreach (int buffer in _out)
            _free.Push(buffer);
        _out.Clear();
    }

    private void Add(int buffer)
    {
        _ = _queue.TryAdd([_buffers[buffer].Slice(0, _lengths[buffer])], [], out ushort id); // there is room: an entry for each buffer
        _bufferOf[id] = buffer;
    }

    private bool Acquire(TimeSpan timeout)
    {
        while (Take(TimeSpan.Zero))
        {
        }

        return _free.Count > 0 || Take(timeout);
    }

    private bool Take(TimeSpan timeout)
    {
        if (!_queue.Wait(timeout, out ushort id, out _))
            return false;
        _free.Push(_bufferOf[id]);
        _out.Remove(_bufferOf[id]);
        return true;
    }
}
