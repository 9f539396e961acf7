using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Fuzz.Targets;

/// <summary>A way to a device that only exists in memory. Its clock moves when it is looked at, so that runs repeat.</summary>
internal sealed class FuzzTransport(DmaArena arena, Func<bool> wait) : IDriverTransport
{
    public int Resets { get; private set; }

    public DeviceId DeviceId => DeviceId.Block;

    public int QueueCount => 1;

    public DmaArena Dma => arena;

    public TimeProvider Time { get; } = new SteppingTime();

    public FeatureSet ReadDeviceFeatures() => Features.Version1;

    public void WriteDriverFeatures(FeatureSet features)
    {
    }

    public DeviceStatus ReadStatus() => DeviceStatus.Reset;

    public void WriteStatus(DeviceStatus status) => Resets += status == DeviceStatus.Reset ? 1 : 0;

    public void ReadConfiguration(uint offset, Span<byte> destination) => destination.Clear();

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source)
    {
    }

    public uint ReadConfigurationGeneration() => 0;

    public int ReadMaxQueueSize(int index) => 0;

    public void EnableQueue(int index, in QueueLayout layout)
    {
    }

    public void ResetQueue(int index)
    {
    }

    public void Notify(QueueNotification notification)
    {
    }

    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout) => wait() ? sources[0] : InterruptSource.None;

    public void Dispose()
    {
    }

    private sealed class SteppingTime : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp() => _now++;
    }
}
