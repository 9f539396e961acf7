using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Software;

/// <summary>Puts capabilities into configuration space, one behind the other, and links them in the order in which they are added (PCI 3.0 §6.7).</summary>
public sealed class PciCapabilityList(PciConfigurationSpace space)
{
    private int _link = PciConfigurationRegister.CapabilityPointer;
    private int _next = PciConfigurationRegister.FirstCapability;

    /// <summary>Adds a capability. Its contents are 0 and read-only until they are set.</summary>
    /// <param name="id">Its kind.</param>
    /// <param name="bytes">How long it is, id and link included.</param>
    /// <returns>Where it is.</returns>
    /// <exception cref="ArgumentException">It does not fit any more.</exception>
    public int Add(PciCapabilityId id, int bytes)
    {
        int at = _next;
        if (bytes > PciConfigurationRegister.Size - at)
            throw new ArgumentException($"configuration space has no room for a capability of {bytes} bytes at 0x{at:x}: give the function fewer", nameof(bytes));
        space.Set8(_link, (byte)at);
        space.Set8(at, (byte)id);
        space.Set16(PciConfigurationRegister.Status, (ushort)(space.Read(PciConfigurationRegister.Status, 2) | (ushort)PciStatus.CapabilityList));
        (_link, _next) = (at + 1, (at + bytes + 3) & ~3);
        return at;
    }
}
