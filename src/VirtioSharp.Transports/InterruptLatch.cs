using VirtioSharp.Core.Device;
using VirtioSharp.Spec;

namespace VirtioSharp.Transports;

/// <summary>Why a line is raised, and the line: up while any event is neither acknowledged nor reset. For any thread, without a lock.</summary>
internal sealed class InterruptLatch : IInterrupt
{
    private int _status;
    private int _untold;
    private bool _told;

    /// <summary>Is called when the line rises and falls: in order, never twice at a time, and finally with what holds.</summary>
    public Action<bool>? LineChanged { get; set; }

    public InterruptStatus Status => (InterruptStatus)Volatile.Read(ref _status);

    public bool IsRaised => Status != InterruptStatus.None;

    public void SignalUsed(int queue) => Raise(InterruptStatus.UsedBuffer);

    public void SignalConfigurationChange() => Raise(InterruptStatus.ConfigurationChange);

    public void Raise(InterruptStatus events)
    {
        if (Interlocked.Or(ref _status, (int)events) == 0 && events != InterruptStatus.None)
            Tell();
    }

    public void Acknowledge(InterruptStatus events)
    {
        int before = Interlocked.And(ref _status, ~(int)events);
        if (before != 0 && (before & ~(int)events) == 0)
            Tell();
    }

    // Two threads may raise and lower at once. The first to come here speaks for the others until nobody has come
    // meanwhile, so that the last call cannot be an older one.
    private void Tell()
    {
        if (Interlocked.Increment(ref _untold) != 1)
            return;
        int heard;
        do
        {
            heard = Volatile.Read(ref _untold);
            if (IsRaised == _told)
                continue;
            _told = !_told;
            LineChanged?.Invoke(_told);
        }
        while (Interlocked.Add(ref _untold, -heard) != 0);
    }
}
