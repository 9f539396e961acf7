using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Spec.Packed;

namespace VirtioSharp.Transports.Mmio;

/// <summary>The driver's way to a device behind a virtio-mmio window (§4.2), version 2 or legacy as the device has it, over any carrier.</summary>
/// <remarks>Window, line and arena are the carrier's: they are used, and not disposed.</remarks>
public sealed class MmioTransport : IDriverTransport
{
    /// <summary>What legacy devices are told about pages (§4.2.4): the ring's alignment, and the unit of its place.</summary>
    private const int LegacyPageSize = 4096;

    /// <summary>How many queues a device is believed to have; QEMU's limit.</summary>
    private const int MaxQueues = 1024;

    /// <summary>How often a queue is asked whether its reset is complete.</summary>
    private const int ResetPolls = 1000;

    private readonly MmioWindow _window;
    private readonly MmioInterrupt _interrupt;
    private bool _notifiesWithData, _pageSizeIsKnown;
    private int _queueCount = -1;

    private MmioTransport(MmioWindow window, IInterruptLine line, DmaArena dma, TimeProvider time)
    {
        (_window, Dma, Time) = (window, dma, time);
        _interrupt = new MmioInterrupt(window, line, time);
    }

    /// <inheritdoc/>
    public DeviceId DeviceId { get; private init; }

    /// <summary>The version of the registers.</summary>
    public MmioVersion Version { get; private init; }

    /// <summary>Who made the device; only to be shown (§4.2.2).</summary>
    public uint VendorId { get; private init; }

    /// <inheritdoc/>
    /// <remarks>There is no register for it: queues are tried, once, from the first to one that is not there.</remarks>
    public int QueueCount => _queueCount >= 0 ? _queueCount : _queueCount = CountQueues();

    /// <inheritdoc/>
    public DmaArena Dma { get; }

    /// <inheritdoc/>
    public TimeProvider Time { get; }

    /// <inheritdoc/>
    public int LegacyAlignment => IsLegacy ? LegacyPageSize : 0;

    private bool IsLegacy => Version == MmioVersion.Legacy;

    private uint FeatureWords => IsLegacy ? 1u : FeatureSet.BitCount / 32;

    /// <summary>Finds the device in a window. It is not reset yet; a driver session does that.</summary>
    /// <param name="window">Its registers.</param>
    /// <param name="line">Its interrupt.</param>
    /// <param name="dma">Memory that it can reach.</param>
    /// <param name="time">The clock that waiting goes by.</param>
    /// <exception cref="NoDeviceException">The window is a placeholder.</exception>
    /// <exception cref="TransportException">It is no virtio-mmio window, or of a version from the future.</exception>
    public static MmioTransport Open(IRegisterWindow window, IInterruptLine line, DmaArena dma, TimeProvider? time = null)
    {
        // In this order, and nothing else before (§4.2.3.1.1).
        if (window.Length < MmioRegister.MinWindowBytes)
            throw new TransportException($"window of {window.Length} bytes is smaller than the registers of virtio-mmio");
        var registers = new MmioWindow(window);
        uint magic = registers.Read(MmioRegister.MagicValue);
        if (magic != MmioRegister.Magic)
            throw new TransportException($"magic = 0x{magic:x8} is not virtio-mmio's 0x{MmioRegister.Magic:x8}");
        uint version = registers.Read(MmioRegister.Version);
        if (version is not ((uint)MmioVersion.Legacy or (uint)MmioVersion.Current))
            throw new TransportException($"version = {version} is neither 2 nor 1 (legacy)");
        uint id = registers.Read(MmioRegister.DeviceId);
        if (id == 0)
            throw new NoDeviceException();
        if (id > ushort.MaxValue)
            throw new TransportException($"device id = 0x{id:x} is none");
        return new MmioTransport(registers, line, dma, time ?? TimeProvider.System)
        {
            DeviceId = (DeviceId)id,
            Version = (MmioVersion)version,
            VendorId = registers.Read(MmioRegister.VendorId),
        };
    }

    /// <inheritdoc/>
    /// <remarks>There is but the line.</remarks>
    public InterruptKind UseInterrupts(int queues, InterruptKind best = InterruptKind.VectorPerQueue) => InterruptKind.Line;

    /// <inheritdoc/>
    public FeatureSet ReadDeviceFeatures()
    {
        FeatureSet features = Features.None;
        for (uint word = 0; word < FeatureWords; word++)
        {
            _window.Write(MmioRegister.DeviceFeaturesSelect, word);
            features = features.WithWord(word, _window.Read(MmioRegister.DeviceFeatures));
        }

        // QEMU has 64 bits, and takes any selection but 0 for 1: the words after that are no features.
        bool repeats = features.Word(1) != 0 && features.Word(2) == features.Word(1) && features.Word(3) == features.Word(1);
        return repeats ? new FeatureSet(features.Low) : features;
    }

    /// <inheritdoc/>
    public void WriteDriverFeatures(FeatureSet features)
    {
        // From the last to the first: a device that takes selections 2 and 3 for 1 (QEMU) keeps what was written last.
        for (uint word = FeatureWords; word-- > 0;)
        {
            _window.Write(MmioRegister.DriverFeaturesSelect, word);
            _window.Write(MmioRegister.DriverFeatures, features.Word(word));
        }

        _notifiesWithData = features.Has(Features.NotificationData);
    }

    /// <inheritdoc/>
    public DeviceStatus ReadStatus() => (DeviceStatus)_window.Read(MmioRegister.Status);

    /// <inheritdoc/>
    public void WriteStatus(DeviceStatus status)
    {
        _window.Write(MmioRegister.Status, (uint)status);
        if (status != DeviceStatus.Reset)
            return;
        _interrupt.Forget();
        (_notifiesWithData, _pageSizeIsKnown) = (false, false);
    }

    /// <inheritdoc/>
    /// <remarks>2 bytes are read as one access, 4 and 8 as words, anything else byte by byte: ask for fields, not for several at a time.</remarks>
    public void ReadConfiguration(uint offset, Span<byte> destination) => _window.ReadConfiguration(offset, destination, IsLegacy);

    /// <inheritdoc/>
    /// <remarks>In the widths of <see cref="ReadConfiguration"/>.</remarks>
    public void WriteConfiguration(uint offset, ReadOnlySpan<byte> source) => _window.WriteConfiguration(offset, source, IsLegacy);

    /// <inheritdoc/>
    /// <remarks>Always 0 with the legacy interface, which has none: read until two reads agree.</remarks>
    public uint ReadConfigurationGeneration() => IsLegacy ? 0 : _window.Read(MmioRegister.ConfigurationGeneration);

    /// <inheritdoc/>
    public int ReadMaxQueueSize(int index)
    {
        uint size = index is >= 0 and < MaxQueues ? ReadSize(index) : 0;
        return size <= PackedLayout.MaxQueueSize ? (int)size : throw new QueueException($"queue {index}: its size reads {size}, more than any queue has");
    }

    /// <inheritdoc/>
    public void EnableQueue(int index, in QueueLayout layout)
    {
        _window.Write(MmioRegister.QueueSelect, (uint)index);
        int enabling = IsLegacy ? MmioRegister.QueuePage : MmioRegister.QueueReady;
        uint inUse = _window.ReadPresent(enabling);
        if (inUse != 0)
            throw new QueueException($"queue {index} is in use already: register 0x{enabling:x3} reads {inUse}");

        uint value = IsLegacy ? PlaceLegacy(layout) : Place(layout);
        _window.Write(enabling, value);
        uint taken = _window.ReadPresent(enabling);
        if (taken != value)
            throw new QueueException($"the device refuses queue {index} of {layout.Size} entries: register 0x{enabling:x3} reads {taken} instead of {value}");
        _interrupt.Watch(index);
    }

    /// <inheritdoc/>
    public void ResetQueue(int index)
    {
        _window.Write(MmioRegister.QueueSelect, (uint)index);
        _window.Write(MmioRegister.QueueReset, 1);
        for (int poll = 0; _window.ReadPresent(MmioRegister.QueueReset) != 0; poll++)
        {
            if (poll == ResetPolls)
                throw new TransportException($"queue {index} is still being reset");
            if (poll > 16)
                Thread.Sleep(1);
        }

        // QEMU 7.2 offers RING_RESET and has no such register. A ring that the device still uses must not be freed.
        uint ready = _window.Read(MmioRegister.QueueReady);
        if (ready != 0)
            throw new TransportException($"queue {index} was reset, the device says, but its QueueReady reads {ready}");
    }

    /// <inheritdoc/>
    public void Notify(QueueNotification notification) =>
        _window.Write(MmioRegister.QueueNotify, _notifiesWithData ? notification.ToData() : notification.Queue);

    /// <inheritdoc/>
    public InterruptSource WaitForInterrupt(ReadOnlySpan<InterruptSource> sources, TimeSpan timeout) => _interrupt.Wait(sources, timeout);

    /// <summary>Resets the device.</summary>
    public void Dispose()
    {
        try
        {
            WriteStatus(DeviceStatus.Reset);
        }
        catch (TransportException)
        {
            // It is gone.
        }
    }

    private uint Place(in QueueLayout layout)
    {
        _window.Write(MmioRegister.QueueSize, (uint)layout.Size);
        _window.Write64(MmioRegister.QueueDescriptorArea, layout.DescriptorArea.Value);
        _window.Write64(MmioRegister.QueueDriverArea, layout.DriverArea.Value);
        _window.Write64(MmioRegister.QueueDeviceArea, layout.DeviceArea.Value);
        return 1;
    }

    private uint PlaceLegacy(in QueueLayout layout)
    {
        uint page = LegacyRing.PageOf(layout, LegacyPageSize, LegacyPageSize);
        if (!_pageSizeIsKnown)
            _window.Write(MmioRegister.GuestPageSize, LegacyPageSize);
        _pageSizeIsKnown = true;
        _window.Write(MmioRegister.QueueSize, (uint)layout.Size);
        _window.Write(MmioRegister.QueueAlign, LegacyPageSize);
        return page;
    }

    private int CountQueues()
    {
        int count = 0;
        while (count < MaxQueues && ReadSize(count) > 0)
            count++;
        return count;
    }

    private uint ReadSize(int index)
    {
        _window.Write(MmioRegister.QueueSelect, (uint)index);
        return _window.ReadPresent(MmioRegister.QueueSizeMax);
    }
}
