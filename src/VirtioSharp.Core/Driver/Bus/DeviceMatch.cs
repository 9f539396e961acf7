using VirtioSharp.Spec;

namespace VirtioSharp.Core.Driver.Bus;

/// <summary>One line of a driver's id table: which devices it is for.</summary>
/// <param name="Device">The kind of device, or null for any.</param>
/// <param name="Vendor">Who made it, or null for anyone.</param>
public readonly record struct DeviceMatch(DeviceId? Device = null, uint? Vendor = null)
{
    /// <summary>Every device.</summary>
    public static DeviceMatch Any => default;

    /// <summary>Whether the line is for this device.</summary>
    public bool IsFor(IDriverTransport transport) =>
        (Device is null || Device == transport.DeviceId) && (Vendor is null || Vendor == transport.VendorId);
}
