using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Driver;

// A second life for the same session: after a suspended machine, and after a device that said NEEDS_RESET (§2.1.1).
public sealed partial class DriverSession
{
    private int _interruptsFor;

    /// <summary>Resets the device, so that it does nothing until <see cref="Restore"/>. The driver has finished what it could.</summary>
    /// <exception cref="TransportException">The device does not reset, or is gone.</exception>
    public void Freeze()
    {
        Handshake.Reset(_transport);
        IsStarted = false;
    }

    /// <summary>
    /// Sets the device up again as it was, up to <see cref="Start"/>: the same features, and the same queues in the same places. They are
    /// empty: what was in flight will never be used, and what the driver wants done it adds again.
    /// </summary>
    /// <exception cref="TransportException">The device does not reset, offers less than before, or is gone.</exception>
    /// <exception cref="QueueException">It has less room for a queue than before. In both cases it has been given up (FAILED).</exception>
    public void Restore()
    {
        Freeze();
        GuardSetUp(() =>
        {
            Handshake.Renegotiate(_transport, NegotiatedFeatures);
            if (Interrupts is not null)
                Interrupts = _transport.UseInterrupts(_interruptsFor, BestInterrupts);
            foreach (DriverQueue queue in _queues.Values)
                RestoreQueue(queue);
        });
        Broken = null;
    }

    private void RestoreQueue(DriverQueue queue)
    {
        int offered = _transport.ReadMaxQueueSize(queue.Index), size = queue.Layout.Size;
        if (IsLegacy ? offered != size : offered < size)
            throw new QueueException($"queue {queue.Index} had {size} entries before the reset, and now its size reads {offered}");
        queue.Restart();
        _transport.EnableQueue(queue);
    }
}
