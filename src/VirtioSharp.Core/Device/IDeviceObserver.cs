using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Device;

/// <summary>Is told what goes wrong in a device, so that it can be counted and logged. Not called while all is well.</summary>
public interface IDeviceObserver
{
    /// <summary>A chain was answered with length 0.</summary>
    void ChainFaulted(int queue, ChainFault fault);

    /// <summary>A queue or the device stopped, and the device now says NEEDS_RESET.</summary>
    /// <param name="queue">The queue whose service led to it, or −1.</param>
    /// <param name="reason">What was wrong.</param>
    void NeedsReset(int queue, Exception reason);
}
