namespace VirtioSharp.Core.Driver.Bus;

/// <summary>Brings devices and drivers together, whichever comes first; the mirror of a VMM's list of devices.</summary>
/// <remarks>
/// All from one thread. A driver that fails with a device costs neither the bus nor the other devices: the device says FAILED,
/// <see cref="BusDevice.LastFailure"/> says why, and the next driver that matches is tried.
/// </remarks>
public sealed class VirtioBus : IDisposable
{
    private readonly List<VirtioDriver> _drivers = [];
    private readonly List<BusDevice> _devices = [];
    private int _named;

    /// <summary>The devices, in the order in which they came.</summary>
    public IReadOnlyList<BusDevice> Devices => _devices;

    /// <summary>The drivers, in the order in which they are tried.</summary>
    public IReadOnlyList<VirtioDriver> Drivers => _drivers;

    /// <summary>A driver comes: it is offered every device that nobody drives and that it matches.</summary>
    /// <exception cref="InvalidOperationException">It is here already.</exception>
    public void Register(VirtioDriver driver)
    {
        if (_drivers.Contains(driver))
            throw new InvalidOperationException($"driver {driver.Name} is registered already");
        _drivers.Add(driver);
        foreach (BusDevice device in _devices)
        {
            if (device.Driver is null && Matches(driver, device))
                device.TryBind(driver);
        }
    }

    /// <summary>A driver goes: its devices are reset, and offered to the others.</summary>
    public void Unregister(VirtioDriver driver)
    {
        _drivers.Remove(driver);
        foreach (BusDevice device in _devices.Where(device => device.Driver == driver).ToList())
        {
            device.Unbind();
            device.Acknowledge();
            Offer(device);
        }
    }

    /// <summary>A device comes, at start or while others run: the first matching driver that does not fail has it.</summary>
    /// <param name="transport">The way to it. It belongs to the bus now, which disposes it.</param>
    /// <param name="name">Its name, for messages; virtio0, virtio1, … when null.</param>
    public BusDevice Add(IDriverTransport transport, string? name = null)
    {
        var device = new BusDevice(name ?? $"virtio{_named++}", transport);
        _devices.Add(device);
        device.Acknowledge();
        Offer(device);
        return device;
    }

    /// <summary>A device goes. Whether it has been pulled out already, the bus finds out by itself.</summary>
    /// <exception cref="ArgumentException">It is not on this bus.</exception>
    public void Remove(BusDevice device)
    {
        if (!_devices.Remove(device))
            throw new ArgumentException($"{device.Name} is not on this bus", nameof(device));
        device.Unbind();
        device.Transport.Dispose();
    }

    /// <summary>Removes the devices that do not answer any more: those that were pulled out.</summary>
    /// <returns>How many those were.</returns>
    public int RemoveGone()
    {
        List<BusDevice> gone = [.. _devices.Where(device => device.IsGone)];
        gone.ForEach(Remove);
        return gone.Count;
    }

    /// <summary>Every driver finishes what is in flight, and every device is reset; the last comes first.</summary>
    /// <returns>The devices that could not; <see cref="BusDevice.LastFailure"/> says why.</returns>
    public IReadOnlyList<BusDevice> Freeze() => [.. _devices.Reverse<BusDevice>().Where(device => !device.Freeze())];

    /// <summary>Every device that sleeps is set up again as it was, and its driver goes on. So is one that was broken and needs a reset (§2.1.1).</summary>
    /// <returns>The devices that are not what they were: they say FAILED, and <see cref="BusDevice.LastFailure"/> says why.</returns>
    public IReadOnlyList<BusDevice> Restore() => [.. _devices.Where(device => !device.Restore())];

    /// <summary>Removes every device.</summary>
    public void Dispose()
    {
        while (_devices.Count > 0)
            Remove(_devices[^1]);
    }

    private void Offer(BusDevice device)
    {
        foreach (VirtioDriver driver in _drivers)
        {
            if (Matches(driver, device) && device.TryBind(driver))
                return;
        }
    }

    private static bool Matches(VirtioDriver driver, BusDevice device)
    {
        foreach (DeviceMatch match in driver.Devices)
        {
            if (match.IsFor(device.Transport))
                return true;
        }

        return false;
    }
}
