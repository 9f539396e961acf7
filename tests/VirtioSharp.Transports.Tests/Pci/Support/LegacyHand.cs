using VirtioSharp.Core.Device;
using VirtioSharp.Spec;
using VirtioSharp.Transports.Pci;
using static VirtioSharp.Spec.Pci.LegacyPciRegister;

namespace VirtioSharp.Transports.Tests.Pci.Support;

/// <summary>Drives a function through the legacy interface, register by register.</summary>
internal sealed class LegacyHand(VirtioDevice device, VirtioPciOptions? options = null) : IDisposable
{
    public PciMachine Machine { get; } = new(device, options ?? new VirtioPciOptions { Interface = VirtioPciInterface.Legacy });

    public IRegisterWindow Bar => Machine.Bar(0);

    public DeviceStatus Status
    {
        get => (DeviceStatus)Read(LegacyDeviceStatus, 1);
        set => Write(LegacyDeviceStatus, 1, (byte)value);
    }

    private const int LegacyDeviceStatus = Spec.Pci.LegacyPciRegister.DeviceStatus;

    public uint Read(int register, int width) => Bar.Read((ulong)register, width);

    public void Write(int register, int width, uint value) => Bar.Write((ulong)register, width, value);

    public uint ReadIsr() => Read(Spec.Pci.LegacyPciRegister.InterruptStatus, 1);

    /// <summary>Gives the device a queue of the size it asks for.</summary>
    public HandRing EnableQueue(int queue)
    {
        Write(QueueSelect, 2, (uint)queue);
        var ring = new HandRing(Machine.Host.Dma, (int)Read(QueueSize, 2), bufferBytes: 16);
        Write(QueuePage, 4, (uint)(ring.Whole.Address.Value / PageBytes));
        return ring;
    }

    public HandRing Start(uint features = 0)
    {
        Status = Spec.DeviceStatus.Reset;
        Status = Spec.DeviceStatus.Acknowledge | Spec.DeviceStatus.Driver;
        Write(DriverFeatures, 4, features);
        HandRing ring = EnableQueue(0);
        Status |= Spec.DeviceStatus.DriverOk;
        return ring;
    }

    public void Notify(int queue) => Write(QueueNotify, 2, (uint)queue);

    public void Dispose() => Machine.Dispose();
}
