using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>A way to no device: keeps what a driver's queue sends.</summary>
internal sealed class StubTransport(DmaArena arena) : IDriverTransport
{
    public List<DeviceStatus> Written { get; } = [];

    public List<QueueNotification> Notifications { get; } = [];

    public DeviceId DeviceId => DeviceId.Block;

    public int QueueCount => 1;

    public DmaArena Dma => arena;

    public TimeProvider Time => TimeProvider.System;

    public FeatureSet ReadDeviceFeatures() => Features.Version1;

    public void WriteDriverFeatures(FeatureSet features)
    {
    }

    public DeviceStatus ReadStatus() => Written.Count > 0 ? Written[^1] : DeviceStatus.Reset;

    public void WriteStatus(DeviceStatus status) => Written.Add(status);

    public void ReadConfiguration(uint offset, Span<byte> destination) => destination.Clear();

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source)
    {
    }

    public uint ReadConfigurationGeneration() => 0;

    public int ReadMaxQueueSize(int index) => 8;

    public void EnableQueue(int index, in QueueLayout layout)
    {
    }

    public void ResetQueue(int index)
    {
    }

    public void Notify(QueueNotification notification) => Notifications.Add(notification);

    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout) => InterruptSource.None;

    public void Dispose()
    {
    }
}
