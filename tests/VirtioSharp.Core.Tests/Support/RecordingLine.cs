using VirtioSharp.Core.Device;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>Counts what a device sends back to its driver and keeps the alarm it asked for.</summary>
internal sealed class RecordingLine : IInterrupt, IWakeUp
{
    public int UsedBuffers { get; private set; }

    public int ConfigurationChanges { get; private set; }

    public TimeSpan? Alarm { get; private set; }

    public void SignalUsed(int queue) => UsedBuffers++;

    public void SignalConfigurationChange() => ConfigurationChanges++;

    /// <summary>Times that a device wanted what it completed to be shown.</summary>
    public int Flushes { get; private set; }

    public void WakeAfter(TimeSpan delay) => Alarm = delay;

    public void FlushSoon() => Flushes++;
}
