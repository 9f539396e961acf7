using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using static VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>The common configuration structure, the device's half (§4.1.4.3).</summary>
/// <remarks>
/// A field answers to its own width, a 64-bit one to its two halves (§4.1.3.1); anything else reads 0 and writes nothing. A queue
/// that does not exist has size 0 and NO_VECTOR. What describes an enabled queue does not change, its vector excepted.
/// </remarks>
internal sealed class CommonConfiguration(VirtioPciDevice device, bool isTransitional, bool notifiesByQueue)
{
    private const int High = 4; // the upper half of a 64-bit field
    private uint _deviceFeatureSelect, _driverFeatureSelect;
    private ushort _queueSelect;
    private int _resets;
    private uint _seenGeneration;
    private byte _generation;

    /// <summary>Bytes of the field at each offset where one starts, or the upper half of one.</summary>
    private static ReadOnlySpan<byte> Widths =>
    [
        4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0,
        2, 0, 2, 0, 1, 1, 2, 0, 2, 0, 2, 0, 2, 0, 2, 0,
        4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0,
        4, 0, 0, 0, 4, 0, 0, 0, 2, 0, 2, 0, 2, 0, 2, 0,
    ];

    private FeatureSet Offered => isTransitional ? device.Host.DeviceFeatures - Features.LegacyOnly : device.Host.DeviceFeatures;

    public uint Read(int offset, int width)
    {
        if (offset >= Size || Widths[offset] != width)
            return 0;
        ForgetAfterReset();
        switch (offset)
        {
            case DeviceFeatureSelect: return _deviceFeatureSelect;
            case DeviceFeature: return Offered.Word(_deviceFeatureSelect);
            case DriverFeatureSelect: return _driverFeatureSelect;
            case DriverFeature: return device.Host.DriverFeatures.Word(_driverFeatureSelect);
            case ConfigurationVector: return device.Interrupts.ReadConfigurationVector();
            case QueueCount: return (uint)device.Queues.Length;
            case CommonConfigurationRegister.DeviceStatus: return (byte)device.Host.Status;
            case ConfigurationGeneration: return ReadGeneration();
            case QueueSelect: return _queueSelect;
            case AdminQueueIndex or AdminQueueCount: return 0; // ADMIN_VQ is not offered
        }

        if (_queueSelect >= device.Queues.Length)
            return offset == QueueVector ? VirtioPci.NoVector : 0u;
        VirtioPciQueue queue = device.Queues[_queueSelect];
        return offset switch
        {
            QueueSize => queue.Size,
            QueueVector => device.Interrupts.ReadQueueVector(_queueSelect),
            QueueEnable => queue.IsEnabled ? 1u : 0,
            QueueNotifyOffset => notifiesByQueue ? _queueSelect : 0u,
            QueueDescriptorArea => (uint)queue.DescriptorArea,
            QueueDescriptorArea + High => (uint)(queue.DescriptorArea >> 32),
            QueueDriverArea => (uint)queue.DriverArea,
            QueueDriverArea + High => (uint)(queue.DriverArea >> 32),
            QueueDeviceArea => (uint)queue.DeviceArea,
            QueueDeviceArea + High => (uint)(queue.DeviceArea >> 32),
            QueueNotifyData => _queueSelect, // NOTIF_CONFIG_DATA: the index will do
            _ => 0, // queue_reset, too: a reset is over when the write is
        };
    }

    public void Write(int offset, int width, uint value)
    {
        if (offset >= Size || Widths[offset] != width)
            return;
        ForgetAfterReset();
        switch (offset)
        {
            case DeviceFeatureSelect:
                _deviceFeatureSelect = value;
                break;
            case DriverFeatureSelect:
                _driverFeatureSelect = value;
                break;
            case DriverFeature:
                WriteDriverFeature(value);
                break;
            case ConfigurationVector:
                device.Interrupts.WriteConfigurationVector((ushort)value);
                break;
            case CommonConfigurationRegister.DeviceStatus:
                WriteStatus((DeviceStatus)value);
                break;
            case QueueSelect:
                _queueSelect = (ushort)value;
                break;
            default:
                if (_queueSelect < device.Queues.Length)
                    WriteQueue(device.Queues[_queueSelect], offset, value);
                break;
        }
    }

    /// <summary>
    /// config_generation, 8 bits: it moves when the driver looks at it or at the configuration, not with every change, so that
    /// 256 changes between two looks cannot hide (§4.1.4.3.1).
    /// </summary>
    public byte ReadGeneration()
    {
        uint now = device.Host.ConfigurationGeneration;
        if (now != _seenGeneration)
            (_seenGeneration, _generation) = (now, (byte)(_generation + 1));
        return _generation;
    }

    private void WriteQueue(VirtioPciQueue queue, int offset, uint value)
    {
        if (offset == QueueVector)
            device.Interrupts.WriteQueueVector(_queueSelect, (ushort)value);
        else if (offset == QueueReset)
            ResetQueue(queue, value);
        else if (!queue.IsEnabled)
            WriteLayout(queue, offset, value);
    }

    private void WriteLayout(VirtioPciQueue queue, int offset, uint value)
    {
        switch (offset)
        {
            case QueueSize:
                queue.WriteSize((ushort)value);
                break;
            case QueueEnable when value == 1 && (device.Host.Status & Spec.DeviceStatus.FeaturesOk) != 0: // before it, the ring's format is not known
                queue.Enable();
                break;
            case QueueDescriptorArea or QueueDescriptorArea + High:
                QueueRegisters.SetHalf(ref queue.DescriptorArea, offset != QueueDescriptorArea, value);
                break;
            case QueueDriverArea or QueueDriverArea + High:
                QueueRegisters.SetHalf(ref queue.DriverArea, offset != QueueDriverArea, value);
                break;
            case QueueDeviceArea or QueueDeviceArea + High:
                QueueRegisters.SetHalf(ref queue.DeviceArea, offset != QueueDeviceArea, value);
                break;
        }
    }

    private void ResetQueue(VirtioPciQueue queue, uint value)
    {
        if (value != 1 || !device.Host.DriverFeatures.Has(Features.RingReset))
            return;
        device.Host.ResetQueue(_queueSelect);
        queue.Reset();
    }

    private void WriteDriverFeature(uint value)
    {
        FeatureSet features = device.Host.DriverFeatures.WithWord(_driverFeatureSelect, value);
        if (_driverFeatureSelect >= FeatureSet.BitCount / 32)
            return;
        device.Host.WriteDriverFeatures(isTransitional ? features - Features.LegacyOnly : features);
    }

    /// <summary>Through this interface VERSION_1 is a must, also where the host would let a legacy driver start without.</summary>
    private void WriteStatus(DeviceStatus value)
    {
        DeviceStatus allowed = device.Host.DriverFeatures.Has(Features.Version1)
            ? value
            : value & ~(Spec.DeviceStatus.FeaturesOk | Spec.DeviceStatus.DriverOk);
        if (allowed != Spec.DeviceStatus.Reset || value == Spec.DeviceStatus.Reset) // what is left of it must not become a reset
            device.WriteStatus(allowed);
    }

    /// <summary>The selectors go back to 0 with the device.</summary>
    private void ForgetAfterReset()
    {
        if (_resets == device.Resets)
            return;
        _resets = device.Resets;
        (_deviceFeatureSelect, _driverFeatureSelect, _queueSelect) = (0, 0, 0);
    }
}
