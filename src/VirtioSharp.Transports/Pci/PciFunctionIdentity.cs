using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci;

/// <summary>What a function says it is (PCI 3.0 §6.2.1).</summary>
/// <param name="VendorId">Whose.</param>
/// <param name="DeviceId">Which of the vendor's.</param>
/// <param name="Revision">0 for transitional virtio devices.</param>
/// <param name="ClassCode">Class, subclass and programming interface, 24 bits.</param>
/// <param name="SubsystemVendorId">Whose board.</param>
/// <param name="SubsystemId">Of a transitional virtio device: its type.</param>
public readonly record struct PciFunctionIdentity(
    ushort VendorId, ushort DeviceId, byte Revision, uint ClassCode, ushort SubsystemVendorId, ushort SubsystemId)
{
    /// <summary>Whether it is a virtio device (§4.1.2).</summary>
    public bool IsVirtio => VendorId == VirtioPci.VendorId
        && DeviceId is >= VirtioPci.FirstTransitionalDeviceId and <= VirtioPci.LastModernDeviceId;

    /// <summary>Whether it is a virtio device with a legacy interface, and maybe a modern one.</summary>
    public bool IsTransitional => IsVirtio && DeviceId <= VirtioPci.LastTransitionalDeviceId;

    /// <summary>The kind of virtio device; none for what is not virtio. A transitional one says it in its subsystem id (§4.1.2.3).</summary>
    public DeviceId VirtioType =>
        !IsVirtio ? Spec.DeviceId.None : (DeviceId)(IsTransitional ? SubsystemId : DeviceId - VirtioPci.ModernDeviceIdBase);

    /// <summary>Asks a function.</summary>
    /// <returns>False when it is gone.</returns>
    public static bool TryRead(IPciFunction function, out PciFunctionIdentity identity) => TryRead(function.ReadConfiguration, out identity);

    internal static bool TryRead(Func<int, int, uint> read, out PciFunctionIdentity identity)
    {
        uint ids = read(PciConfigurationRegister.VendorId, 4);
        if ((ushort)ids is 0xFFFF or 0) // 0 is what some bridges answer for an empty slot
        {
            identity = default;
            return false;
        }

        uint kind = read(PciConfigurationRegister.Revision, 4);
        uint subsystem = read(PciConfigurationRegister.SubsystemVendorId, 4);
        identity = new((ushort)ids, (ushort)(ids >> 16), (byte)kind, kind >> 8, (ushort)subsystem, (ushort)(subsystem >> 16));
        return true;
    }
}
