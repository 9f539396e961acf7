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

    private bool[] _used = [];
    private bool _configurationChanged;

    /// <summary>A queue was enabled.</summary>
    public void Watch(int queue)
    {
        if (queue >= _used.Length)
            Array.Resize(ref _used, queue + 1);
        _used[queue] = false;
    }

    /// <summary>The device was reset.</summary>
    public void Forget()
    {
        Array.Clear(_used);
        _configurationChanged = false;
    }

    public InterruptSource Wait(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        long start = time.GetTimestamp();
        for (int looks = 0; ; looks++)
        {
            bool raised = line.IsRaised;
            if (raised)
                Collect();
            InterruptSource taken = Take(sources);
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
            Array.Fill(_used, true);
        _configurationChanged |= (events & InterruptStatus.ConfigurationChange) != 0;
    }

    private InterruptSource Take(ReadOnlySpan<InterruptSource> sources)
    {
        foreach (InterruptSource source in sources)
        {
            if (source.IsQueue && source.QueueIndex >= _used.Length)
                continue; // not enabled
            ref bool pending = ref (source.IsQueue ? ref _used[source.QueueIndex] : ref _configurationChanged);
            if (!pending)
                continue;
            pending = false;
            return source;
        }

        return InterruptSource.None;
    }
}
