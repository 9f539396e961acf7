using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Drivers.Balloon;

/// <summary>A queue of the balloon that has one chain in flight at most, and waits for it.</summary>
/// <remarks>When the time runs out the chain stays in flight, and the next call waits for it before anything else: its pages are still the device's.</remarks>
internal sealed class PageChannel(DriverSession session, int index, TimeSpan timeout)
{
    private readonly DriverQueue _queue = session.Queue(index);
    private readonly InterruptSource[] _sources = [InterruptSource.Configuration, InterruptSource.Queue(index)];
    private bool _isBusy;

    /// <summary>Most buffers of one chain.</summary>
    public int MaxBuffers => Math.Min(_queue.Layout.Size, 32);

    /// <summary>Sends one chain, and waits until the device has used it.</summary>
    /// <exception cref="TimeoutException">It has not.</exception>
    /// <exception cref="DeviceException">It needs a reset.</exception>
    public void Send(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        Settle();
        _isBusy = _queue.TryAdd(readable, writable, out _); // there is room: nothing else is in the queue
        _queue.Kick();
        Settle();
    }

    /// <summary>The device has been reset: nothing is in flight any more.</summary>
    public void Forget() => _isBusy = false;

    /// <summary>Waits for what is in flight.</summary>
    /// <exception cref="TimeoutException">The device has not used it.</exception>
    /// <exception cref="DeviceException">It needs a reset.</exception>
    public void Settle()
    {
        while (_isBusy)
        {
            if (_queue.TryGet(out _, out _))
                _isBusy = false;
            else if (session.Wait(_sources, timeout) == InterruptSource.None)
                throw new TimeoutException($"the device has not answered in queue {index} within {timeout.TotalSeconds} s");
        }
    }
}
