using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Drivers.Rng;

/// <summary>Reads an entropy device (§5.4), the way Linux's virtio_rng does: one buffer, always either full or on its way.</summary>
public sealed class RngDriver : IDisposable
{
    private readonly DriverSession _session;
    private readonly DriverQueue _queue;
    private readonly DmaBuffer _buffer;
    private readonly TimeProvider _time;
    private int _next;
    private int _available;

    /// <summary>Sets the device up and asks for the first bytes.</summary>
    /// <param name="transport">The way to the device; not disposed.</param>
    /// <param name="bufferSize">Bytes to ask for at a time.</param>
    /// <exception cref="TransportException">It is no entropy device, or it cannot be set up.</exception>
    public RngDriver(IDriverTransport transport, int bufferSize = 64)
    {
        _time = transport.Time;
        _session = DriverSession.Open(transport, DeviceId.Entropy);
        _queue = _session.EnableQueue(0);
        _buffer = transport.Dma.Allocate(bufferSize);
        _session.Start();
        Request();

        // As the kernel does, take what is there at once as a seed; a slow device is not waited for.
        Span<byte> early = stackalloc byte[32];
        EarlyRandomness = early[..Read(early, TimeSpan.Zero)].ToArray();
    }

    /// <summary>Up to 32 bytes that the device had ready when the driver started.</summary>
    public ReadOnlyMemory<byte> EarlyRandomness { get; }

    /// <summary>Fills <paramref name="destination"/>, of any length, buffer by buffer.</summary>
    /// <param name="destination">Where the bytes go.</param>
    /// <param name="timeout">The longest to wait for each buffer.</param>
    /// <returns>How many bytes it got: fewer only when the device kept the driver waiting too long.</returns>
    /// <exception cref="QueueException">The device broke the queue.</exception>
    public int Read(Span<byte> destination, TimeSpan timeout)
    {
        int read = 0;
        while (read < destination.Length && (_available > 0 || Receive(timeout)))
        {
            int chunk = Math.Min(_available, destination.Length - read);
            _buffer.Span.Slice(_next, chunk).CopyTo(destination[read..]);
            _buffer.Span.Slice(_next, chunk).Clear(); // what was handed out once is not handed out again
            (_next, _available, read) = (_next + chunk, _available - chunk, read + chunk);
            if (_available == 0)
                Request();
        }

        return read;
    }

    /// <summary>Resets the device.</summary>
    public void Dispose() => _session.Dispose();

    private void Request()
    {
        if (!_queue.TryAdd([], [_buffer], out _))
            throw new InvalidOperationException("the request queue is full though at most one buffer is ever in it");
        _queue.Kick();
    }

    private bool Receive(TimeSpan timeout)
    {
        long start = _time.GetTimestamp();
        for (TimeSpan left = timeout; _queue.Wait(left, out _, out uint length); left = timeout - _time.GetElapsedTime(start))
        {
            (_next, _available) = (0, (int)length); // the queue has cut the device's claim to what was asked for
            if (length > 0)
                return true;
            Request(); // against §5.4.6.2; a device that keeps doing so gets no more time than one that says nothing
            if (left <= TimeSpan.Zero)
                return false;
        }

        return false;
    }
}
