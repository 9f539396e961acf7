namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>The BAR that the modern capabilities point to: common configuration, ISR status, device configuration, notifications (§4.1.4).</summary>
/// <remarks>An access of an odd width, misaligned or where nothing is, reads 0 and writes nothing.</remarks>
internal sealed class ModernRegisters : IRegisterWindow
{
    private readonly VirtioPciDevice _device;
    private readonly CommonConfiguration _common;
    private readonly int _notifyMultiplier;

    public ModernRegisters(VirtioPciDevice device, bool isTransitional, int notifyMultiplier)
    {
        (_device, _notifyMultiplier) = (device, notifyMultiplier);
        _common = new CommonConfiguration(device, isTransitional, notifiesByQueue: notifyMultiplier != 0);
        NotificationBytes = Math.Max(ModernLayout.PageBytes, notifyMultiplier * device.Queues.Length);
        Length = (ulong)(ModernLayout.Notifications + NotificationBytes);
    }

    public ulong Length { get; }

    public int NotificationBytes { get; }

    public uint Read(ulong offset, int width)
    {
        if (!RegisterAccess.IsNatural(offset, width))
            return 0;
        switch (offset)
        {
            case < ModernLayout.InterruptStatus:
                return _common.Read((int)offset, width);
            case ModernLayout.InterruptStatus:
                return (uint)_device.Interrupts.TakeStatus();
            case >= ModernLayout.DeviceConfiguration and < ModernLayout.Notifications:
                _common.ReadGeneration(); // what is read now may be new
                return _device.ReadConfiguration((uint)offset - ModernLayout.DeviceConfiguration, width);
            default:
                return 0;
        }
    }

    public void Write(ulong offset, int width, uint value)
    {
        if (!RegisterAccess.IsNatural(offset, width))
            return;
        if (offset >= ModernLayout.Notifications)
            Notify((int)offset - ModernLayout.Notifications, width, value);
        else if (offset >= ModernLayout.DeviceConfiguration)
            _device.WriteConfiguration((uint)offset - ModernLayout.DeviceConfiguration, width, value);
        else if (offset < ModernLayout.InterruptStatus)
            _common.Write((int)offset, width, value);
    }

    /// <summary>§4.1.5.2: 16 bits, or 32 with NOTIFICATION_DATA. The address says which queue; only where all share one, the value does.</summary>
    private void Notify(int offset, int width, uint value)
    {
        if (width == 1)
            return;
        if (_notifyMultiplier == 0)
        {
            if (offset == 0)
                _device.Notify((ushort)value);
            return;
        }

        (int queue, int rest) = Math.DivRem(offset, _notifyMultiplier);
        if (rest == 0)
            _device.Notify(queue);
    }
}
