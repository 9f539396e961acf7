using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci;

/// <summary>What a virtio function says it is (§4.1.2.1).</summary>
internal static class VirtioPciIdentity
{
    /// <summary>Of a function with only the modern interface: numbers that no legacy driver matches.</summary>
    public static PciFunctionIdentity OfModern(DeviceId type)
    {
        ushort device = (ushort)(VirtioPci.ModernDeviceIdBase + (ushort)type);
        return new(VirtioPci.VendorId, device, Revision: 1, ClassOf(type), VirtioPci.VendorId, device);
    }

    /// <summary>Of a function with the legacy interface: revision 0, and the device type as subsystem id.</summary>
    /// <exception cref="ArgumentException">The device type came after the legacy interface.</exception>
    public static PciFunctionIdentity OfLegacy(DeviceId type) => VirtioPci.TryGetTransitionalDeviceId(type, out ushort device)
        ? new(VirtioPci.VendorId, device, Revision: 0, ClassOf(type), VirtioPci.VendorId, (ushort)type)
        : throw new ArgumentException($"device type {(ushort)type} ({type}) has no legacy interface", nameof(type));

    private static uint ClassOf(DeviceId type) => type switch
    {
        DeviceId.Network => 0x02_00_00,
        DeviceId.Block or DeviceId.Scsi => 0x01_00_00,
        DeviceId.Console => 0x07_80_00,
        _ => 0x00_FF_00,
    };
}
