using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Device;

/// <summary>Tells nobody.</summary>
internal sealed class SilentObserver : IDeviceObserver
{
    public static readonly SilentObserver Instance = new();

    public void ChainFaulted(int queue, ChainFault fault)
    {
    }

    public void NeedsReset(int queue, Exception reason)
    {
    }
}
