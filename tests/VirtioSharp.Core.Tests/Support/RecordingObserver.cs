using VirtioSharp.Core.Device;
using VirtioSharp.Core.Queues;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Keeps what a device host reports.</summary>
internal sealed class RecordingObserver : IDeviceObserver
{
    public List<ChainFault> Faults { get; } = [];

    public List<Exception> Resets { get; } = [];

    public void ChainFaulted(int queue, ChainFault fault) => Faults.Add(fault);

    public void NeedsReset(int queue, Exception reason) => Resets.Add(reason);
}
