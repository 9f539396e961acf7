using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Software;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>Writes the capabilities that tell where the structures are (§4.1.4).</summary>
internal sealed class ModernCapabilities(PciConfigurationSpace space, PciCapabilityList list)
{
    public int Add(VirtioPciCapabilityType type, int bar, ulong offset, ulong length, byte id = 0, int bytes = VirtioPciCapabilityLayout.PlainBytes)
    {
        int at = list.Add(PciCapabilityId.Vendor, bytes);
        space.Set8(at + VirtioPciCapabilityLayout.Length, (byte)bytes);
        space.Set8(at + VirtioPciCapabilityLayout.Type, (byte)type);
        space.Set8(at + VirtioPciCapabilityLayout.Bar, (byte)bar);
        space.Set8(at + VirtioPciCapabilityLayout.Id, id);
        space.Set32(at + VirtioPciCapabilityLayout.Offset, (uint)offset);
        space.Set32(at + VirtioPciCapabilityLayout.AreaLength, (uint)length);
        return at;
    }

    public void AddStructures(ModernRegisters registers, int configurationBytes, int notifyMultiplier)
    {
        const int bar = ModernLayout.Bar;
        Add(VirtioPciCapabilityType.CommonConfiguration, bar, ModernLayout.CommonConfiguration, CommonConfigurationRegister.Size);
        Add(VirtioPciCapabilityType.InterruptStatus, bar, ModernLayout.InterruptStatus, 1);
        if (configurationBytes > 0)
            Add(VirtioPciCapabilityType.DeviceConfiguration, bar, ModernLayout.DeviceConfiguration, (ulong)configurationBytes);
        int notify = Add(
            VirtioPciCapabilityType.Notification, bar, ModernLayout.Notifications, (ulong)registers.NotificationBytes, bytes: VirtioPciCapabilityLayout.NotifyBytes);
        space.Set32(notify + VirtioPciCapabilityLayout.NotifyMultiplier, (uint)notifyMultiplier);
    }

    public void AddSharedMemory(byte id, ulong offset, ulong length)
    {
        int at = Add(VirtioPciCapabilityType.SharedMemory, ModernLayout.SharedMemoryBar, offset, length, id, VirtioPciCapabilityLayout.SharedMemoryBytes);
        space.Set32(at + VirtioPciCapabilityLayout.OffsetHigh, (uint)(offset >> 32));
        space.Set32(at + VirtioPciCapabilityLayout.AreaLengthHigh, (uint)(length >> 32));
    }

    /// <summary>§4.1.4.8: a multiple of 4 bytes, and not under virtio's own vendor id.</summary>
    public void AddVendorData(PciVendorData vendor)
    {
        if (vendor.VendorId == VirtioPci.VendorId)
            throw new ArgumentException("vendor data under virtio's own vendor id 0x1af4 is not allowed", nameof(vendor));
        int bytes = (VirtioPciCapabilityLayout.VendorData + vendor.Data.Length + 3) & ~3;
        int at = list.Add(PciCapabilityId.Vendor, bytes);
        space.Set8(at + VirtioPciCapabilityLayout.Length, (byte)bytes);
        space.Set8(at + VirtioPciCapabilityLayout.Type, (byte)VirtioPciCapabilityType.Vendor);
        space.Set16(at + VirtioPciCapabilityLayout.VendorId, vendor.VendorId);
        foreach (byte value in vendor.Data.Span)
            space.Set8(at++ + VirtioPciCapabilityLayout.VendorData, value);
    }
}
