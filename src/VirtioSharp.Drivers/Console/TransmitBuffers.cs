using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Drivers.Console;

/// <summary>The buffers of a queue that the device empties: who writes waits only when it has them all.</summary>
internal sealed class TransmitBuffers
{
    private readonly DriverQueue _queue;
    private readonly DmaBuffer[] _buffers;
    private readonly Stack<int> _free;
    private readonly int[] _bufferOf; // by the chain's id

    public TransmitBuffers(DriverQueue queue, DmaArena arena, int count, int bytes)
    {
        _queue = queue;
        _buffers = [.. Enumerable.Range(0, Math.Min(count, queue.Layout.Size)).Select(_ => arena.Allocate(bytes))];
        (_free, _bufferOf) = (new Stack<int>(Enumerable.Range(0, _buffers.Length)), new int[queue.Layout.Size]);
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
            int bytes = Math.Min(memory.Length, source.Length - sent);
            source.Slice(sent, bytes).CopyTo(memory.Span);
            _ = _queue.TryAdd([memory.Slice(0, bytes)], [], out ushort id); // there is room: an entry for each buffer
            _bufferOf[id] = buffer;
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
        return true;
    }
}
