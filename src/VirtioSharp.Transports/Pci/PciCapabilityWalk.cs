using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci;

/// <summary>A function's list of capabilities (PCI 3.0 §6.7): what is in it, and where.</summary>
internal static class PciCapabilityWalk
{
    /// <summary>Walks the list, in its order. It ends after 48 at the latest, for no more fit behind the header.</summary>
    /// <exception cref="TransportException">A pointer leads into the header, or to where the walk has been.</exception>
    public static List<PciCapability> Read(IPciFunction function)
    {
        List<PciCapability> found = [];
        var status = (PciStatus)function.ReadConfiguration(PciConfigurationRegister.Status, 2);
        if ((ushort)status == 0xFFFF)
            function.ThrowIfUnplugged("PCI status");
        if ((status & PciStatus.CapabilityList) == 0)
            return found;

        ulong seen = 0; // a bit per aligned position
        int position = (int)function.ReadConfiguration(PciConfigurationRegister.CapabilityPointer, 1) & ~3;
        while (position != 0)
        {
            if (position < PciConfigurationRegister.FirstCapability)
                throw new TransportException($"{function.Name}: capability pointer = 0x{position:x2} leads into the header");
            if ((seen >> (position / 4) & 1) != 0)
            {
                function.ThrowIfUnplugged("capability list");
                throw new TransportException($"{function.Name}: capability pointer = 0x{position:x2}: the list goes round in a loop");
            }

            seen |= 1UL << (position / 4);
            uint head = function.ReadConfiguration(position, 2);
            found.Add(new((PciCapabilityId)(byte)head, position));
            position = (int)(head >> 8) & ~3;
        }

        return found;
    }

    /// <summary>For a register that reads all ones, where that is unlikely but possible.</summary>
    /// <exception cref="TransportException">There is no function any more.</exception>
    public static void ThrowIfUnplugged(this IPciFunction function, string what)
    {
        if ((ushort)function.ReadConfiguration(PciConfigurationRegister.VendorId, 2) == 0xFFFF)
            throw new TransportException($"{function.Name}: {what} reads all ones: the device has been unplugged");
    }
}

/// <summary>A capability in configuration space.</summary>
internal readonly record struct PciCapability(PciCapabilityId Id, int Position);
