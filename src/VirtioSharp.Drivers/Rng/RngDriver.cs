using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Drivers.Rng;

/// <summary>Reads an entropy device (§5.4), the way Linux's virtio_rng does: one buffer, always either full or on its way.</summary>
public sealed class RngDriver : BoundDevice, IDisposable
{
    internal const int DefaultBufferSize = 64;
    private const int MaxEmptyAnswers = 16; // §5.4.6.2 allows none; a device that keeps giving nothing is not asked for ever
    private readonly DriverSession _session;
    private readonly DriverQueue _queue;
    private readonly DmaBuffer _buffer;
    private int _next, _available;

    /// <summary>Sets the device up and asks for the first bytes.</summary>
    /// <param name="transport">The way to the device; not disposed.</param>
    /// <param name="bufferSize">Bytes to ask for at a time.</param>
    /// <exception cref="TransportException">It is no entropy device, or it cannot be set up.</exception>
    /// <exception cref="QueueException">It has no usable queue, or broke it at once.</exception>
    public RngDriver(IDriverTransport transport, int bufferSize = DefaultBufferSize)
        : this(DriverSession.Open(transport, DeviceId.Entropy), bufferSize)
    {
    }

    /// <summary>Takes a device in hand that has been negotiated with, starts it and asks for the first bytes.</summary>
    /// <inheritdoc cref="RngDriver(IDriverTransport, int)"/>
    /// <param name="session">Up to FEATURES_OK.</param>
    /// <param name="bufferSize">Bytes to ask for at a time.</param>
    public RngDriver(DriverSession session, int bufferSize = DefaultBufferSize)
    {
        (_session, _buffer) = (session, session.Dma.Allocate(bufferSize));
        _queue = _session.EnableQueue(0);
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
            Span<byte> chunk = _buffer.Span.Slice(_next, Math.Min(_available, destination.Length - read));
            chunk.CopyTo(destination[read..]);
            chunk.Clear(); // what was handed out once is not handed out again
            (_next, _available, read) = (_next + chunk.Length, _available - chunk.Length, read + chunk.Length);
            if (_available == 0)
                Request();
        }

        return read;
    }

    /// <summary>Resets the device.</summary>
    public void Dispose()
    {
        _session.Dispose();
        _available = 0; // the buffer may be gone next
    }

    /// <inheritdoc/>
    protected override void OnRestore()
    {
        _session.Start();
        if (_available == 0)
            Request();
    }

    /// <inheritdoc/>
    protected override void OnRemove(bool isGone) => _available = 0;

    private void Request()
    {
        _ = _queue.TryAdd([], [_buffer], out _); // there is always room for the only buffer
        _queue.Kick();
    }

    private bool Receive(TimeSpan timeout)
    {
        for (int answers = 0; answers < MaxEmptyAnswers && _queue.Wait(timeout, out _, out uint length); answers++)
        {
            (_next, _available) = (0, (int)length); // the queue has cut the device's claim to what was asked for
            if (_available > 0)
                return true;
            Request();
        }

        return false;
    }
}
