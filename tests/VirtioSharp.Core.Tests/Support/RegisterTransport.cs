using System.Runtime.InteropServices;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Core.Tests.Support;

/// <summary>The registers of a device that does nothing by itself, with a journal of what its driver did.</summary>
internal sealed class RegisterTransport : IDriverTransport
{
    private DeviceStatus _status;

    public List<string> Journal { get; } = [];

    /// <summary>What the status field reads, given what it ought to.</summary>
    public Func<DeviceStatus, DeviceStatus> ShownStatus { get; set; } = honest => honest;

    public FeatureSet Offered { get; set; } = Features.Version1;

    public FeatureSet Accepted { get; private set; }

    public int[] QueueSizes { get; set; } = [8];

    public Dictionary<int, QueueLayout> Enabled { get; } = [];

    public byte[] Configuration { get; set; } = new byte[16];

    /// <summary>Happens at each read of configuration space.</summary>
    public Action? ConfigurationRead { get; set; }

    public uint Generation { get; set; }

    public InterruptKind Interrupts { get; set; }

    /// <summary>Pending notifications, in the order in which they are taken.</summary>
    public List<InterruptSource> Pending { get; } = [];

    /// <summary>Happens when the driver would sleep.</summary>
    public Action? Sleeping { get; set; }

    public bool IsDisposed { get; private set; }

    public DeviceId DeviceId { get; set; } = DeviceId.Block;

    public uint VendorId { get; set; }

    public int QueueCount => QueueSizes.Length;

    public DmaArena Dma { get; } = DmaArena.CreateLocal(new GuestAddress(0x4000_1000), 1 << 20);

    public TimeProvider Time => TimeProvider.System;

    public int LegacyAlignment { get; set; }

    /// <summary>The device is pulled out: nobody answers any more.</summary>
    public void Unplug() => ShownStatus = _ => (DeviceStatus)0xFF;

    /// <summary>The device uses a chain of a split queue.</summary>
    public unsafe void Use(int queue, uint id, uint length)
    {
        QueueLayout layout = Enabled[queue];
        var area = new Span<byte>((void*)(Dma.Region.Host + (nint)(layout.DeviceArea.Value - Dma.Region.Start.Value)), SplitLayout.DeviceAreaBytes(layout.Size));
        ref ushort index = ref MemoryMarshal.AsRef<ushort>(area[SplitLayout.IndexOffset..]);
        MemoryMarshal.Cast<byte, UsedElement>(area[SplitLayout.RingOffset..^2])[index % layout.Size] = new UsedElement(id, length);
        index++;
    }

    public InterruptKind UseInterrupts(int queues, InterruptKind best)
    {
        Journal.Add($"interrupts {queues} {best}");
        return best > Interrupts ? best : Interrupts;
    }

    public FeatureSet ReadDeviceFeatures() => Offered;

    public void WriteDriverFeatures(FeatureSet features)
    {
        Accepted = features;
        Journal.Add("features");
    }

    public DeviceStatus ReadStatus() => IsDisposed ? throw new TransportException("disposed") : ShownStatus(_status);

    public void WriteStatus(DeviceStatus status)
    {
        _status = status;
        Journal.Add($"status {(int)status}");
        if (status == DeviceStatus.Reset)
            Enabled.Clear();
    }

    public void ReadConfiguration(uint offset, Span<byte> destination)
    {
        ConfigurationRead?.Invoke();
        Configuration.AsSpan((int)offset, destination.Length).CopyTo(destination);
    }

    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source) => source.CopyTo(Configuration.AsSpan((int)offset));

    public uint ReadConfigurationGeneration() => Generation;

    public int ReadMaxQueueSize(int index) => index < QueueSizes.Length ? QueueSizes[index] : 0;

    public void EnableQueue(int index, in QueueLayout layout)
    {
        Journal.Add($"queue {index}");
        Enabled[index] = layout;
    }

    public void ResetQueue(int index) => Enabled.Remove(index);

    public void Notify(QueueNotification notification) => Journal.Add($"kick {notification.Queue}");

    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout)
    {
        if (timeout > TimeSpan.Zero)
            Sleeping?.Invoke();
        foreach (InterruptSource pending in Pending)
        {
            if (!sources.Contains(pending))
                continue;
            Pending.Remove(pending);
            return pending;
        }

        return InterruptSource.None;
    }

    public void Dispose() => IsDisposed = true;
}
