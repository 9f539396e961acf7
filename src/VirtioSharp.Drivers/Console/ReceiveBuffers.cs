using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Drivers.Console;

/// <summary>The buffers of a queue that the device fills: all of them are its own, but the one that is being read.</summary>
internal sealed class ReceiveBuffers
{
    private const int None = -1;

    private readonly DriverQueue _queue;
    private readonly DmaBuffer[] _buffers;
    private readonly bool[] _isOut;
    private readonly int[] _bufferOf; // by the chain's id
    private readonly Queue<(int Buffer, int Length)> _kept = []; // from before a reset, in order
    private int _current = None, _next, _end;

    public ReceiveBuffers(DriverQueue queue, DmaArena arena, int count, int bytes)
    {
        _queue = queue;
        _buffers = [.. Enumerable.Range(0, Math.Min(count, queue.Layout.Size)).Select(_ => arena.Allocate(bytes))];
        (_isOut, _bufferOf) = (new bool[_buffers.Length], new int[queue.Layout.Size]);
    }

    public int QueueIndex => _queue.Index;

    /// <summary>What has come and has not been read, of one buffer. The device can still write to it: copy, then check the copy.</summary>
    public ReadOnlySpan<byte> Received => _current == None ? default : _buffers[_current].Span[_next.._end];

    /// <summary>Gives the device every buffer that it does not have. The device is not notified.</summary>
    public void Fill()
    {
        for (int i = 0; i < _buffers.Length; i++)
        {
            if (_isOut[i] || i == _current || !_queue.TryAdd([], [_buffers[i]], out ushort id))
                continue;
            (_isOut[i], _bufferOf[id]) = (true, i);
        }
    }

    /// <summary>Shows the device what it was given.</summary>
    public void Kick() => _queue.Kick();

    /// <summary>Looks whether something has come.</summary>
    /// <returns>Whether there is something in <see cref="Received"/>.</returns>
    public bool Look()
    {
        // Each buffer once: a device that uses them all without a byte gets them back, and the caller its time.
        for (int i = 0; i < _buffers.Length && Received.IsEmpty; i++)
        {
            if (!TryNext(out int buffer, out int length))
                return false;
            (_current, _next, _end) = (buffer, 0, length);
            _isOut[_current] = false;
            if (length == 0)
                Consume(0);
        }

        return !Received.IsEmpty;
    }

    /// <summary>So much of it has been read; the device gets the buffer back when all of it has.</summary>
    public void Consume(int bytes)
    {
        _next += bytes;
        if (_next < _end || _current == None)
            return;
        _current = None;
        Fill();
        Kick();
    }

    /// <summary>Nobody will read what has come.</summary>
    public void Drop()
    {
        for (int i = 0; i < _buffers.Length && Look(); i++)
            Consume(Received.Length);
    }

    /// <summary>Takes what has come out of the ring, which is about to be emptied.</summary>
    public void Keep()
    {
        while (_queue.TryGet(out ushort id, out uint length))
            _kept.Enqueue((_bufferOf[id], (int)length));
    }

    /// <summary>The ring has been emptied: the device gets every buffer again in which there is nothing to read. It is not notified.</summary>
    public void Restart()
    {
        Array.Clear(_isOut);
        foreach ((int buffer, _) in _kept)
            _isOut[buffer] = true;
        Fill();
    }

    /// <summary>The ring has been emptied, or is gone, and what had come with it. The device has no buffer.</summary>
    public void Forget()
    {
        (_current, _next, _end) = (None, 0, 0);
        _kept.Clear();
        Array.Clear(_isOut);
    }

    private bool TryNext(out int buffer, out int length)
    {
        if (_kept.TryDequeue(out (int Buffer, int Length) kept))
        {
            (buffer, length) = kept;
            return true;
        }

        bool any = _queue.TryGet(out ushort id, out uint used);
        (buffer, length) = any ? (_bufferOf[id], (int)used) : (None, 0); // the queue has cut the device's claim to the buffer
        return any;
    }
}
