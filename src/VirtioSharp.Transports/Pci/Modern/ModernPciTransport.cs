using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Packed;
using Register = VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>The driver's half of the modern interface (§4.1.4): structures in BARs, found by capabilities.</summary>
/// <remarks>
/// Nothing that the device says is taken on trust: offsets, lengths and sizes are checked once, where they are read. All ones in
/// a register mean that the device has been unplugged, if configuration space agrees.
/// </remarks>
public sealed class ModernPciTransport : VirtioPciTransport
{
    private readonly VirtioStructures _structures;
    private readonly RegisterStructure _common, _notify;
    private FeatureSet _offered, _negotiated;
    private Doorbell[] _doorbells = [];
    private int _notifyWidth = 2;

    /// <summary>Finds the structures. The device itself is left as it is.</summary>
    /// <param name="function">A virtio function; disposed with this.</param>
    /// <param name="throughConfigurationSpace">See <see cref="PciDriverOptions.ThroughConfigurationSpace"/>.</param>
    /// <exception cref="TransportException">It is no virtio function, or a structure is missing; the message says which and why.</exception>
    public ModernPciTransport(IPciFunction function, bool throughConfigurationSpace = false)
        : base(function)
    {
        _structures = new VirtioStructures(function, throughConfigurationSpace);
        (_common, _notify) = (_structures.Common, _structures.Notify);
        QueueCount = (int)_common.Read(Register.QueueCount, 2);
    }

    /// <inheritdoc/>
    public override int QueueCount { get; }

    /// <summary>The device's shared memory regions (§2.10).</summary>
    public IReadOnlyList<PciSharedMemoryRegion> SharedMemory => _structures.SharedMemory;

    /// <summary>What the device's capabilities say that cannot be; others were used instead.</summary>
    public IReadOnlyList<string> IgnoredCapabilities => _structures.Ignored;

    /// <summary>Whether a function has a modern interface at all: a capability says where its common configuration is.</summary>
    /// <exception cref="TransportException">The list of capabilities is broken.</exception>
    public static bool IsOfferedBy(IPciFunction function) =>
        VirtioPciCapability.ReadAll(function, []).Exists(capability => capability.Type == Spec.Pci.VirtioPciCapabilityType.CommonConfiguration);

    /// <inheritdoc/>
    public override FeatureSet ReadDeviceFeatures()
    {
        FeatureSet offered = default;
        for (uint word = 0; word < FeatureSet.BitCount / 32; word++)
        {
            _common.Write(Register.DeviceFeatureSelect, 4, word);
            offered = offered.WithWord(word, _common.Read(Register.DeviceFeature, 4));
        }

        return _offered = offered;
    }

    /// <inheritdoc/>
    /// <exception cref="TransportException">A feature needs a register that the device's structure is too short for.</exception>
    public override void WriteDriverFeatures(FeatureSet features)
    {
        MustReach(features, Features.NotifyConfigData, Register.QueueNotifyData);
        MustReach(features, Features.RingReset, Register.QueueReset);
        // A device of old that decodes one bit of the selector would take the words above 63 for those below: they are written only to
        // a device that offers some.
        uint words = (_offered.High | features.High) == 0 ? 2u : FeatureSet.BitCount / 32;
        for (uint word = 0; word < words; word++)
        {
            _common.Write(Register.DriverFeatureSelect, 4, word);
            _common.Write(Register.DriverFeature, 4, features.Word(word));
        }

        _negotiated = features;
        _notifyWidth = features.Has(Features.NotificationData) ? 4 : 2;
    }

    /// <inheritdoc/>
    public override DeviceStatus ReadStatus()
    {
        uint status = _common.Read(Register.DeviceStatus, 1);
        if (status == 0xFF) // no device has all bits, reserved ones too
            throw new TransportException($"{Function.Name}: device status reads 0xff: the device has been unplugged");
        if (status == 0)
            Function.ThrowIfUnplugged("vendor id"); // memory where nobody answers reads 0 with QEMU
        return (DeviceStatus)status;
    }

    /// <inheritdoc/>
    public override void WriteStatus(DeviceStatus status) => _common.Write(Register.DeviceStatus, 1, (uint)status);

    /// <summary>Reads device configuration: 1, 2, 4 and 8 bytes as one field (the latter as two halves), other lengths byte by byte (§4.1.3.1).</summary>
    public override void ReadConfiguration(uint offset, Span<byte> destination) =>
        ConfigurationFields.Read(DeviceStructure(offset, destination.Length), offset, destination);

    /// <summary>Writes device configuration, in the widths of <see cref="ReadConfiguration"/>.</summary>
    public override void WriteConfiguration(uint offset, ReadOnlySpan<byte> source) =>
        ConfigurationFields.Write(DeviceStructure(offset, source.Length), offset, source);

    /// <inheritdoc/>
    public override uint ReadConfigurationGeneration() => _common.Read(Register.ConfigurationGeneration, 1);

    /// <inheritdoc/>
    /// <exception cref="QueueException">The size is none that a queue can have.</exception>
    public override int ReadMaxQueueSize(int index)
    {
        if ((uint)index >= (uint)QueueCount)
            return 0;
        int size = SelectAndReadSize(index);
        return size <= PackedLayout.MaxQueueSize ? size
            : throw Refused(index, $"queue_size = {size} is more than {PackedLayout.MaxQueueSize}");
    }

    /// <inheritdoc/>
    public override void EnableQueue(int index, in QueueLayout layout)
    {
        int offered = ReadMaxQueueSize(index); // also selects it
        if (offered == 0)
            throw Refused(index, "queue_size = 0: it does not exist");
        if (layout.Size < 1 || layout.Size > offered)
            throw Refused(index, $"{layout.Size} entries are wanted, queue_size = {offered}");
        if (_common.Read(Register.QueueEnable, 2) != 0)
            throw Refused(index, "it is enabled already");

        _common.Write(Register.QueueSize, 2, (uint)layout.Size);
        uint accepted = _common.Read(Register.QueueSize, 2);
        if (accepted != layout.Size)
            throw Refused(index, $"queue_size = {accepted} after {layout.Size} was written");
        Write64(Register.QueueDescriptorArea, layout.DescriptorArea.Value);
        Write64(Register.QueueDriverArea, layout.DriverArea.Value);
        Write64(Register.QueueDeviceArea, layout.DeviceArea.Value);
        MapVectorOf(index);
        if (index >= _doorbells.Length)
            Array.Resize(ref _doorbells, index + 1);
        _doorbells[index] = FindDoorbell(index);

        _common.Write(Register.QueueEnable, 2, 1);
        uint enabled = _common.Read(Register.QueueEnable, 2);
        if (enabled != 1)
            throw Refused(index, $"queue_enable = {enabled} after 1 was written");
    }

    /// <inheritdoc/>
    public override void ResetQueue(int index)
    {
        if (!_negotiated.Has(Features.RingReset))
            throw new TransportException($"{Function.Name}: queue {index} cannot be reset: RING_RESET was not negotiated");
        _common.Write(Register.QueueSelect, 2, (uint)index);
        _common.Write(Register.QueueReset, 2, 1);
        // §4.1.4.3.2: not complete until it reads back 0; and then the queue is disabled.
        if (!Poll(_common, common => common.Read(Register.QueueReset, 2) == 0 && common.Read(Register.QueueEnable, 2) == 0))
            throw new TransportException($"{Function.Name}: queue {index}: queue_reset still reads {_common.Read(Register.QueueReset, 2)}, queue_enable {_common.Read(Register.QueueEnable, 2)} after a reset");
    }

    /// <inheritdoc/>
    public override void Notify(QueueNotification notification)
    {
        // §4.1.5.2: 16 bits, or 32 with NOTIFICATION_DATA, which the narrower register cuts off. No check: EnableQueue did them.
        Doorbell bell = _doorbells[notification.Queue];
        _notify.Write(bell.Offset, _notifyWidth, bell.Value | (uint)notification.Next << 16);
    }

    private protected override ushort MapConfigurationVector(ushort vector)
    {
        _common.Write(Register.ConfigurationVector, 2, vector);
        return (ushort)_common.Read(Register.ConfigurationVector, 2);
    }

    private protected override ushort MapQueueVector(int queue, ushort vector)
    {
        _common.Write(Register.QueueSelect, 2, (uint)queue);
        _common.Write(Register.QueueVector, 2, vector);
        return (ushort)_common.Read(Register.QueueVector, 2);
    }

    private protected override bool HasQueue(int queue) => queue < QueueCount && SelectAndReadSize(queue) != 0;

    private protected override byte ReadInterruptStatus() => (byte)_structures.InterruptStatus.Read(0, 1);

    private int SelectAndReadSize(int queue)
    {
        _common.Write(Register.QueueSelect, 2, (uint)queue);
        return (int)_common.Read(Register.QueueSize, 2);
    }

    private RegisterStructure DeviceStructure(uint offset, int length)
    {
        RegisterStructure device = _structures.Device ?? throw new TransportException($"{Function.Name}: the device has no configuration, {length} bytes at {offset} are wanted");
        return (uint)length <= device.Length && offset <= device.Length - (uint)length ? device
            : throw new TransportException($"{Function.Name}: {length} bytes at {offset} are wanted, device configuration has {device.Length}");
    }

    // §4.1.4.4: cap.offset + queue_notify_off × notify_off_multiplier.
    private Doorbell FindDoorbell(int index)
    {
        uint notifyOffset = _common.Read(Register.QueueNotifyOffset, 2);
        ulong offset = (ulong)notifyOffset * _structures.NotifyMultiplier;
        if (offset + (uint)_notifyWidth > _notify.Length)
            throw Refused(index, $"queue_notify_off = {notifyOffset} × {_structures.NotifyMultiplier} is beyond the {_notify.Length} bytes of the notification structure");
        if ((_notify.Start + offset) % (uint)_notifyWidth != 0)
            throw Refused(index, $"queue_notify_off = {notifyOffset} × {_structures.NotifyMultiplier} from 0x{_notify.Start:x} is not aligned to {_notifyWidth}");
        return new(offset, _negotiated.Has(Features.NotifyConfigData) ? _common.Read(Register.QueueNotifyData, 2) : (uint)index);
    }

    // §4.1.3.1: 64-bit fields are two of 32 bits, the low one first.
    private void Write64(int register, ulong value)
    {
        _common.Write((ulong)register, 4, (uint)value);
        _common.Write((ulong)register + 4, 4, (uint)(value >> 32));
    }

    private void MustReach(FeatureSet features, FeatureSet needs, int register)
    {
        if (features.Has(needs) && _common.Length < (ulong)register + 2)
            throw new TransportException($"{Function.Name}: the device offers {needs}, but its common configuration of {_common.Length} bytes ends before the register at 0x{register:x}");
    }

    private QueueException Refused(int index, string why) => new($"{Function.Name}: queue {index}: {why}");

    /// <summary>Where a queue is notified, and what with.</summary>
    private readonly record struct Doorbell(ulong Offset, uint Value);
}
