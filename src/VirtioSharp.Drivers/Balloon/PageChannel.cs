using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Drivers.Balloon;

/// <summary>A queue of the balloon that has one chain in flight at most, and waits for it.</summary>
/// <remarks>When the time runs out the chain stays in flight, and the next call waits for it before anything else: its pages are still the device's.</remarks>
internal sealed class PageChannel(DriverQueue queue, TimeSpan timeout)
{
    private bool _isBusy;

    /// <summary>Most buffers of one chain.</summary>
    public int MaxBuffers { get; } = Math.Min(queue.Layout.Size, 32);

    /// <summary>Sends one chain, and waits until the device has used it.</summary>
    /// <exception cref="TimeoutException">It has not.</exception>
    public void Send(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        Settle();
        _isBusy = queue.TryAdd(readable, writable, out _); // there is room: nothing else is in the queue
        queue.Kick();
        Settle();
    }

    /// <summary>Waits for what is in flight.</summary>
    /// <exception cref="TimeoutException">The device has not used it.</exception>
    public void Settle()
    {
        if (!_isBusy)
            return;
        if (!queue.Wait(timeout, out _, out _))
            throw new TimeoutException($"the device has not answered in queue {queue.Index} within {timeout.TotalSeconds} s");
        _isBusy = false;
    }
}
