using System.Numerics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Spec.Split;

namespace VirtioSharp.Transports.Pci;

/// <summary>What the driver has written about one queue, until it enables it: claims, checked when it does.</summary>
internal sealed class VirtioPciQueue(VirtioPciDevice device, int index)
{
    private readonly int _maxSize = Math.Min(device.Host.Traits.Queues[index].MaxSize, SplitLayout.MaxQueueSize);
    private int? _claimedSize;
    private ulong _descriptorArea, _driverArea, _deviceArea;

    /// <summary>Whether the driver has enabled it. Stays so when NEEDS_RESET has stopped the device: only a reset disables.</summary>
    public bool IsEnabled { get; private set; }

    /// <summary>The descriptor area.</summary>
    public ref ulong DescriptorArea => ref _descriptorArea;

    /// <summary>The driver area.</summary>
    public ref ulong DriverArea => ref _driverArea;

    /// <summary>The device area.</summary>
    public ref ulong DeviceArea => ref _deviceArea;

    /// <summary>The page that a legacy driver has put the queue in; 0 when it is not enabled.</summary>
    public uint Page { get; private set; }

    /// <summary>
    /// What queue_size reads: the driver's choice, or the most that the device supports. A size that cannot be does not read back;
    /// it is not forgotten either, as the driver may have laid the queue out for it: enabling the queue fails.
    /// </summary>
    public ushort Size => (ushort)(_claimedSize is { } claim && IsPossible(claim) ? claim : LargestSize);

    /// <summary>§4.1.4.3.1: with split rings a power of two.</summary>
    private int LargestSize => IsPacked ? _maxSize : 1 << BitOperations.Log2((uint)_maxSize);

    private bool IsPacked => device.Host.DriverFeatures.Has(Features.RingPacked);

    public void WriteSize(ushort size) => _claimedSize = size;

    /// <summary>The driver enables the queue where it has put it. A layout that cannot be is NEEDS_RESET.</summary>
    public void Enable() => IsEnabled = device.Host.TryEnableQueue(
        index,
        new QueueLayout(_claimedSize ?? LargestSize, new GuestAddress(DescriptorArea), new GuestAddress(DriverArea), new GuestAddress(DeviceArea)));

    /// <summary>A legacy driver moves the queue to a page, or takes it back with page 0 (§4.1.5.1.3.1).</summary>
    public void WritePage(uint page)
    {
        device.Host.DisableQueue(index);
        Reset();
        if (page == 0)
            return;
        try
        {
            QueueLayout layout = LegacyRing.At((ulong)page * LegacyPciRegister.PageBytes, (uint)LargestSize, LegacyPciRegister.PageBytes);
            IsEnabled = device.Host.TryEnableQueue(index, layout);
        }
        catch (QueueException refused)
        {
            device.Host.Fail(index, refused);
        }

        Page = IsEnabled ? page : 0;
    }

    /// <summary>As after a reset of the device.</summary>
    public void Reset()
    {
        (IsEnabled, _claimedSize, Page) = (false, null, 0);
        (DescriptorArea, DriverArea, DeviceArea) = (0, 0, 0);
    }

    private bool IsPossible(int size) => size <= _maxSize && (IsPacked ? PackedLayout.IsValidSize(size) : SplitLayout.IsValidSize(size));
}
