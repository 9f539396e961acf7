using VirtioSharp.Core.Driver;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports.Pci.Interrupts;

/// <summary>Turns messages and the line into the notifications that a driver waits for, and keeps those that nobody asked for yet.</summary>
internal sealed class PciInterruptInbox(IPciFunction function, IVectorRegisters registers)
{
    /// <summary>How often the ISR status is read while the line stays up: it may be another function's.</summary>
    private const int MaxStatusReads = 16;

    private readonly IPciInterrupts _interrupts = function.Interrupts;
    private InterruptKind _kind = InterruptKind.Line;
    private PendingNotifications _pending = new();

    /// <summary>Forgets what was pending.</summary>
    public void Start(InterruptKind kind, int queues)
    {
        _kind = kind;
        _pending = new PendingNotifications(queues);
    }

    /// <summary>See <see cref="IDriverTransport.WaitForInterrupt"/>.</summary>
    public InterruptSource Wait(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        if (timeout == Timeout.InfiniteTimeSpan)
            timeout = TimeSpan.MaxValue;
        long start = function.Time.GetTimestamp();
        MakeRoomFor(sources);
        while (true)
        {
            bool stuck = Collect();
            InterruptSource taken = _pending.Take(sources);
            if (taken != InterruptSource.None)
                return taken;
            TimeSpan left = timeout - function.Time.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
            {
                _ = _interrupts.Wait(TimeSpan.Zero); // a carrier without a thread of its own does the device's work here, also for a driver that only looks
                _ = Collect();
                return _pending.Take(sources);
            }

            if (stuck)
                Thread.Sleep(1); // the line is somebody else's, and up: waiting for it would be spinning
            else if (!_interrupts.Wait(left))
            {
                _ = Collect();
                return _pending.Take(sources);
            }
        }
    }

    // What is collected here does not wake the carrier's next Wait again.
    private bool Collect()
    {
        switch (_kind)
        {
            case InterruptKind.Line:
                return CollectLine();
            case InterruptKind.SharedVector:
                if (_interrupts.TakeMessage(1))
                    _pending.AddAllQueues();
                break;
            default:
                for (int queue = 0; queue < _pending.QueueCount; queue++)
                    _pending[queue] |= _interrupts.TakeMessage(1 + queue);
                break;
        }

        _pending.Configuration |= _interrupts.TakeMessage(0);
        return false;
    }

    // A line is a level: what raises it between the read and the end of an interrupt makes no new edge. So it is read until it is down.
    private bool CollectLine()
    {
        for (int read = 0; read < MaxStatusReads; read++)
        {
            if (!_interrupts.IsLineRaised)
                return false;
            InterruptStatus status = registers.ReadInterruptStatus();
            if ((status & InterruptStatus.UsedBuffer) != 0)
                _pending.AddAllQueues();
            _pending.Configuration |= (status & InterruptStatus.ConfigurationChange) != 0;
        }

        return _interrupts.IsLineRaised;
    }

    // Nobody told of such a queue; an interrupt of all may have been its, so it looks once in vain.
    private void MakeRoomFor(ReadOnlySpan<InterruptSource> sources)
    {
        foreach (InterruptSource source in sources)
        {
            if (source.IsQueue)
                _pending.Grow(source.QueueIndex + 1, pending: _kind != InterruptKind.VectorPerQueue);
        }
    }
}
