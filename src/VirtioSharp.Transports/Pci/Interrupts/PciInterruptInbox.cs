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
    private bool _configuration;
    private bool[] _queues = [];

    /// <summary>Forgets what was pending.</summary>
    public void Start(InterruptKind kind, int queues)
    {
        _kind = kind;
        _configuration = false;
        _queues = new bool[queues];
    }

    /// <summary>See <see cref="IDriverTransport.WaitForInterrupt"/>.</summary>
    public InterruptSource Wait(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        if (timeout == Timeout.InfiniteTimeSpan)
            timeout = TimeSpan.MaxValue;
        long start = function.Time.GetTimestamp();
        while (true)
        {
            bool stuck = Collect();
            InterruptSource taken = Take(sources);
            if (taken != InterruptSource.None)
                return taken;
            TimeSpan left = timeout - function.Time.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
            {
                _ = _interrupts.Wait(TimeSpan.Zero); // a carrier without a thread of its own does the device's work here, also for a driver that only looks
                _ = Collect();
                return Take(sources);
            }

            if (stuck)
                Thread.Sleep(1); // the line is somebody else's, and up: waiting for it would be spinning
            else if (!_interrupts.Wait(left))
            {
                _ = Collect();
                return Take(sources);
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
                    Array.Fill(_queues, true);
                break;
            default:
                for (int queue = 0; queue < _queues.Length; queue++)
                    _queues[queue] |= _interrupts.TakeMessage(1 + queue);
                break;
        }

        _configuration |= _interrupts.TakeMessage(0);
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
                Array.Fill(_queues, true);
            _configuration |= (status & InterruptStatus.ConfigurationChange) != 0;
        }

        return _interrupts.IsLineRaised;
    }

    private InterruptSource Take(ReadOnlySpan<InterruptSource> sources)
    {
        foreach (InterruptSource source in sources)
        {
            if (source == InterruptSource.None)
                continue;
            if (source.QueueIndex >= _queues.Length)
                Grow(source.QueueIndex + 1);
            ref bool pending = ref (source.IsQueue ? ref _queues[source.QueueIndex] : ref _configuration);
            if (!pending)
                continue;
            pending = false;
            return source;
        }

        return InterruptSource.None;
    }

    // Nobody told of this queue; an interrupt of all may have been its, so it looks once in vain.
    private void Grow(int queues)
    {
        int before = _queues.Length;
        Array.Resize(ref _queues, queues);
        if (_kind != InterruptKind.VectorPerQueue)
            Array.Fill(_queues, true, before, queues - before);
    }
}
