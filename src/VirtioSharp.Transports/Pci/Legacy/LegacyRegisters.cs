using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using static VirtioSharp.Spec.Pci.LegacyPciRegister;

namespace VirtioSharp.Transports.Pci.Legacy;

/// <summary>The legacy interface in I/O BAR 0, the device's half (§4.1.4.10), for guests in little-endian order.</summary>
/// <remarks>
/// A register answers to its own width; anything else reads 0 and writes nothing. Device configuration answers to every width at
/// every offset, as it must. It moves by 4 bytes when MSI-X is enabled, and back.
/// </remarks>
internal sealed class LegacyRegisters(VirtioPciDevice device) : IRegisterWindow
{
    private int _queueSelect;
    private int _resets;

    public ulong Length { get; } = (ulong)(DeviceConfigurationWithMsix + device.Host.Traits.ConfigurationSize);

    private bool HasMsix => device.Interrupts.Msix is { IsEnabled: true };

    private int ConfigurationStart => HasMsix ? DeviceConfigurationWithMsix : DeviceConfiguration;

    public uint Read(ulong offset, int width)
    {
        if (offset >= (ulong)ConfigurationStart)
            return device.ReadConfiguration((uint)offset - (uint)ConfigurationStart, width);
        if (WidthAt((int)offset) != width)
            return 0;
        ForgetAfterReset();
        switch ((int)offset)
        {
            case DeviceFeatures: return device.Host.DeviceFeatures.Word(0);
            case DriverFeatures: return device.Host.DriverFeatures.Word(0);
            case QueueSelect: return (uint)_queueSelect;
            case LegacyPciRegister.DeviceStatus: return (byte)device.Host.Status;
            case LegacyPciRegister.InterruptStatus: return (uint)device.Interrupts.TakeStatus();
            case ConfigurationVector: return device.Interrupts.ReadConfigurationVector();
        }

        if (_queueSelect >= device.Queues.Length)
            return (int)offset == QueueVector ? VirtioPci.NoVector : 0u;
        return (int)offset switch
        {
            QueuePage => device.Queues[_queueSelect].Page,
            QueueSize => device.Queues[_queueSelect].Size,
            QueueVector => device.Interrupts.ReadQueueVector(_queueSelect),
            _ => 0,
        };
    }

    public void Write(ulong offset, int width, uint value)
    {
        if (offset >= (ulong)ConfigurationStart)
        {
            device.WriteConfiguration((uint)offset - (uint)ConfigurationStart, width, value);
            return;
        }

        if (WidthAt((int)offset) != width)
            return;
        ForgetAfterReset();
        switch ((int)offset)
        {
            case DriverFeatures:
                device.Host.WriteDriverFeatures(new FeatureSet(value)); // bits 32 and up were not acknowledged
                break;
            case QueueSelect:
                _queueSelect = (ushort)value;
                break;
            case QueueNotify:
                Notify((ushort)value);
                break;
            case LegacyPciRegister.DeviceStatus:
                device.WriteStatus((DeviceStatus)value);
                break;
            case ConfigurationVector:
                device.Interrupts.WriteConfigurationVector((ushort)value);
                break;
            case QueuePage when _queueSelect < device.Queues.Length:
                device.Queues[_queueSelect].WritePage(value);
                break;
            case QueueVector when _queueSelect < device.Queues.Length:
                device.Interrupts.WriteQueueVector(_queueSelect, (ushort)value);
                break;
        }
    }

    private static int WidthAt(int offset) => offset switch
    {
        DeviceFeatures or DriverFeatures or QueuePage => 4,
        QueueSize or QueueSelect or QueueNotify or ConfigurationVector or QueueVector => 2,
        LegacyPciRegister.DeviceStatus or LegacyPciRegister.InterruptStatus => 1,
        _ => 0,
    };

    private void Notify(int queue)
    {
        device.Host.StartEarly(); // many legacy drivers use the device before they set DRIVER_OK
        device.Notify(queue);
    }

    private void ForgetAfterReset()
    {
        if (_resets == device.Resets)
            return;
        (_resets, _queueSelect) = (device.Resets, 0);
    }
}
