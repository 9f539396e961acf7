using VirtioSharp.Core.Driver;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;

namespace VirtioSharp.Transports.Mmio;

/// <summary>The driver's end of a virtio-mmio interrupt: one line for everything, so used buffers may be in any queue (§4.2.3.4.1).</summary>
internal sealed class MmioInterrupt(MmioWindow window, IInterruptLine line, TimeProvider time)
{
    private const InterruptStatus Known = InterruptStatus.UsedBuffer | InterruptStatus.ConfigurationChange;

    /// <summary>Looks at a raised line without a reason before they are spaced: somebody else's, or stuck.</summary>
    private const int LooksInVain = 16;

    private readonly PendingNotifications _pending = new();

    /// <summary>A queue was enabled.</summary>
    public void Watch(int queue)
    {
        _pending.Grow(queue + 1);
        _pending[queue] = false;
    }

    /// <summary>The device was reset.</summary>
    public void Forget() => _pending.Clear();

    public InterruptSource Wait(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        long start = time.GetTimestamp();
        for (int looks = 0; ; looks++)
        {
            bool raised = line.IsRaised;
            if (raised)
                Collect();
            InterruptSource taken = _pending.Take(sources);
            TimeSpan left = timeout - time.GetElapsedTime(start);
            if (taken != InterruptSource.None || (looks > 0 && left <= TimeSpan.Zero))
                return taken;
            if (raised && looks > LooksInVain)
                Thread.Sleep(1);
            if (!line.Wait(left > TimeSpan.Zero ? left : TimeSpan.Zero))
                return InterruptSource.None;
        }
    }

    // Acknowledged before anybody looks into a queue: what the device uses after this look raises the line again. The other
    // way round, a buffer that is used between the look and the acknowledgement would never be found.
    private void Collect()
    {
        InterruptStatus events = (InterruptStatus)window.ReadPresent(MmioRegister.InterruptStatus) & Known;
        if (events == InterruptStatus.None)
            return;
        window.Write(MmioRegister.InterruptAcknowledge, (uint)events);
        if ((events & InterruptStatus.UsedBuffer) != 0)
            _pending.AddAllQueues();
        _pending.Configuration |= (events & InterruptStatus.ConfigurationChange) != 0;
    }
}
