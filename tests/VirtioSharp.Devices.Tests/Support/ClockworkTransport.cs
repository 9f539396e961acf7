using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;

namespace VirtioSharp.Devices.Tests.Support;

/// <summary>A loopback whose clock is turned by hand: waiting takes no time, and the device's alarm goes off exactly when due.</summary>
internal sealed class ClockworkTransport : IDriverTransport, IInterrupt, IWakeUp
{
    private readonly FakeTime _time;
    private bool _interrupt;

    public ClockworkTransport(VirtioDevice device, FakeTime? time = null)
    {
        _time = time ?? new FakeTime();
        Host = new DeviceHost(device, this, this, new DeviceHostOptions { Time = _time });
        Host.SetMemory(MemoryMap.Create([Dma.Region]));
    }

    public DeviceHost Host { get; }

    /// <summary>How long until the device is woken.</summary>
    public TimeSpan? Alarm { get; private set; }

    public DeviceId DeviceId => Host.Traits.Id;

    public int QueueCount => Host.Traits.Queues.Count;

    public DmaArena Dma { get; } = DmaArena.CreateLocal(new GuestAddress(0x2_0000_0000), 1 << 20);

    public TimeProvider Time => _time;

    /// <summary>Lets time go by, and wakes the device when its alarm is due.</summary>
    public void Advance(TimeSpan time)
    {
        while (Alarm is { } alarm && alarm <= time)
        {
            Alarm = null;
            _time.Advance(alarm);
            time -= alarm;
            Host.Wake();
        }

        _time.Advance(time);
        Alarm -= time;
    }

    public FeatureSet ReadDeviceFeatures() => Host.DeviceFeatures;

    public void WriteDriverFeatures(FeatureSet features) => Host.WriteDriverFeatures(features);

    public DeviceStatus ReadStatus() => Host.Status;

    public void WriteStatus(DeviceStatus status) => Host.WriteStatus(status);

    public void ReadConfiguration(uint offset, Span<byte> destination) => Host.ReadConfiguration(offset, destination);

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source) => Host.WriteConfiguration(offset, source);

    public uint ReadConfigurationGeneration() => Host.ConfigurationGeneration;

    public int ReadMaxQueueSize(int index) => Host.Traits.Queues[index].MaxSize;

    public void EnableQueue(int index, in QueueLayout layout) => Host.EnableQueue(index, layout);

    public void ResetQueue(int index) => Host.ResetQueue(index);

    public void Notify(QueueNotification notification)
    {
        while (Host.Notify(notification.Queue))
        {
        }
    }

    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        if (!_interrupt)
            Advance(Alarm is { } alarm && alarm < timeout ? alarm : timeout);
        (bool came, _interrupt) = (_interrupt, false);
        return came ? sources[0] : InterruptSource.None;
    }

    public void SignalUsed(int queue) => _interrupt = true;

    public void SignalConfigurationChange()
    {
    }

    public void WakeAfter(TimeSpan delay) => Alarm = delay;

    public void FlushSoon() => Host.Flush();

    public void Dispose() => Dma.Dispose();
}
