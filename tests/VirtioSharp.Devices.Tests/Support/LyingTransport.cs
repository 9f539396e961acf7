using System.Runtime.InteropServices;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Devices.Tests.Support;

/// <summary>The way to an entropy device that answers whatever a test wants: registers, and the bytes of its used ring.</summary>
internal sealed unsafe class LyingTransport : IDriverTransport
{
    private DeviceStatus _status;

    /// <summary>What the status field reads, given what it ought to.</summary>
    public Func<DeviceStatus, DeviceStatus> ShownStatus { get; set; } = honest => honest;

    public FeatureSet Offered { get; set; } = Features.Version1 | Features.IndirectDesc | Features.EventIdx;

    public int MaxQueueSize { get; set; } = 64;

    /// <summary>What the device does when it is notified.</summary>
    public Action? Notified { get; set; }

    public List<DeviceStatus> Written { get; } = [];

    public FeatureSet Accepted { get; private set; }

    public QueueLayout Layout { get; private set; }

    public DeviceId DeviceId { get; set; } = DeviceId.Entropy;

    public int QueueCount => 1;

    public DmaArena Dma { get; } = DmaArena.CreateLocal(new GuestAddress(0x3_0000_0000), 1 << 20);

    public TimeProvider Time { get; } = new FakeTime(TimeSpan.FromMilliseconds(1));

    public ref ushort UsedIndex => ref MemoryMarshal.AsRef<ushort>(Device.Slice(SplitLayout.IndexOffset));

    private Span<byte> Device => At(Layout.DeviceArea, SplitLayout.DeviceAreaBytes(Layout.Size));

    /// <summary>Puts an entry into the used ring.</summary>
    public void Use(uint id, uint length)
    {
        MemoryMarshal.Cast<byte, UsedElement>(Device[SplitLayout.RingOffset..^2])[UsedIndex % Layout.Size] = new UsedElement(id, length);
        UsedIndex++;
    }

    /// <summary>The buffer of the chain that starts at a descriptor.</summary>
    public Span<byte> Buffer(int head)
    {
        Descriptor descriptor = MemoryMarshal.Cast<byte, Descriptor>(At(Layout.DescriptorArea, SplitLayout.DescriptorTableBytes(Layout.Size)))[head];
        return At(new GuestAddress(descriptor.Address), (int)descriptor.Length);
    }

    public FeatureSet ReadDeviceFeatures() => Offered;

    public void WriteDriverFeatures(FeatureSet features) => Accepted = features;

    public DeviceStatus ReadStatus() => ShownStatus(_status);

    public void WriteStatus(DeviceStatus status)
    {
        _status = status;
        Written.Add(status);
    }

    public void ReadConfiguration(uint offset, Span<byte> destination) => destination.Clear();

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source)
    {
    }

    public uint ReadConfigurationGeneration() => 0;

    public int ReadMaxQueueSize(int index) => MaxQueueSize;

    public void EnableQueue(int index, in QueueLayout layout) => Layout = layout;

    public void ResetQueue(int index)
    {
    }

    public void Notify(QueueNotification notification) => Notified?.Invoke();

    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout) => InterruptSource.None;

    public void Dispose() => Dma.Dispose();

    private Span<byte> At(GuestAddress address, int length) =>
        new((void*)(Dma.Region.Host + (nint)(address.Value - Dma.Region.Start.Value)), length);
}
