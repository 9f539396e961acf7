using VirtioSharp.Core.Device;

namespace VirtioSharp.Bench;

/// <summary>A line on which nobody listens.</summary>
internal sealed class Silence : IInterrupt, IWakeUp
{
    public void SignalUsed(int queue)
    {
    }

    public void SignalConfigurationChange()
    {
    }

    public void WakeAfter(TimeSpan delay)
    {
    }

    public void FlushSoon()
    {
    }
}
