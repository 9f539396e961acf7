using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci;
using static VirtioSharp.Spec.Pci.CommonConfigurationRegister;

namespace VirtioSharp.Transports.Tests.Pci.Support;

/// <summary>Drives a modern function register by register.</summary>
internal sealed class ModernHand : IDisposable
{
    private readonly IRegisterWindow _bar;
    private readonly ulong _common, _isr, _notify;
    private readonly uint _multiplier;

    public ModernHand(VirtioDevice device, VirtioPciOptions? options = null)
    {
        Machine = new PciMachine(device, options);
        _bar = Machine.Bar(4);
        _common = OffsetOf(VirtioPciCapabilityType.CommonConfiguration);
        _isr = OffsetOf(VirtioPciCapabilityType.InterruptStatus);
        _notify = OffsetOf(VirtioPciCapabilityType.Notification);
        _multiplier = Machine.Read(Machine.FindCapability(VirtioPciCapabilityType.Notification) + VirtioPciCapabilityLayout.NotifyMultiplier, 4);
    }

    public PciMachine Machine { get; }

    public IRegisterWindow Bar => _bar;

    public VirtioPciFunction Function => Machine.Function;

    public DeviceStatus Status
    {
        get => (DeviceStatus)Read(CommonConfigurationRegister.DeviceStatus, 1);
        set => Write(CommonConfigurationRegister.DeviceStatus, 1, (byte)value);
    }

    public uint Read(int register, int width) => _bar.Read(_common + (ulong)register, width);

    public void Write(int register, int width, uint value) => _bar.Write(_common + (ulong)register, width, value);

    public uint ReadIsr() => _bar.Read(_isr, 1);

    public ulong OffsetOf(VirtioPciCapabilityType type) =>
        Machine.Read(Machine.FindCapability(type) + VirtioPciCapabilityLayout.Offset, 4);

    public FeatureSet ReadOffered()
    {
        FeatureSet offered = default;
        for (uint word = 0; word < 4; word++)
        {
            Write(DeviceFeatureSelect, 4, word);
            offered = offered.WithWord(word, Read(DeviceFeature, 4));
        }

        return offered;
    }

    public void Accept(FeatureSet features)
    {
        for (uint word = 0; word < 4; word++)
        {
            Write(DriverFeatureSelect, 4, word);
            Write(DriverFeature, 4, features.Word(word));
        }
    }

    /// <summary>From reset to FEATURES_OK.</summary>
    public DeviceStatus Negotiate(FeatureSet features)
    {
        Status = Spec.DeviceStatus.Reset;
        Status = Spec.DeviceStatus.Acknowledge;
        Status = Spec.DeviceStatus.Acknowledge | Spec.DeviceStatus.Driver;
        Accept(features);
        Status |= Spec.DeviceStatus.FeaturesOk;
        return Status;
    }

    public HandRing LayOut(int queue, int size)
    {
        var ring = new HandRing(Machine.Host.Dma, size);
        Write(QueueSelect, 2, (uint)queue);
        Write(QueueSize, 2, (uint)size);
        Write64(QueueDescriptorArea, ring.Descriptors.Value);
        Write64(QueueDriverArea, ring.Available.Value);
        Write64(QueueDeviceArea, ring.Used.Value);
        return ring;
    }

    public HandRing EnableQueue(int queue, int size)
    {
        HandRing ring = LayOut(queue, size);
        Write(QueueEnable, 2, 1);
        return ring;
    }

    /// <summary>Negotiates split rings and no more than is given, enables queue 0 and starts the device.</summary>
    public HandRing Start(int size = 8, FeatureSet features = default)
    {
        Negotiate(Features.Version1 | features);
        HandRing ring = EnableQueue(0, size);
        Status |= Spec.DeviceStatus.DriverOk;
        return ring;
    }

    public ulong NotifyAddress(int queue)
    {
        Write(QueueSelect, 2, (uint)queue);
        return _notify + Read(QueueNotifyOffset, 2) * _multiplier;
    }

    public void Notify(int queue) => _bar.Write(NotifyAddress(queue), 2, (uint)queue);

    public void Write64(int register, ulong value)
    {
        Write(register, 4, (uint)value);
        Write(register + 4, 4, (uint)(value >> 32));
    }

    public void Dispose() => Machine.Dispose();
}
