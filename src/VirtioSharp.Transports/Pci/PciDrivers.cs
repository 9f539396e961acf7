using VirtioSharp.Core.Errors;
using VirtioSharp.Transports.Pci.Legacy;
using VirtioSharp.Transports.Pci.Modern;

namespace VirtioSharp.Transports.Pci;

/// <summary>From a PCI function to a transport for drivers.</summary>
public static class PciDrivers
{
    /// <summary>Picks the interface, as §4.1.5.1.1 asks: the modern one where its capabilities are, else the legacy one of a transitional device.</summary>
    /// <param name="function">The function; from here on disposed with the transport, unless this fails.</param>
    /// <param name="options">Which interface to use, and how.</param>
    /// <exception cref="TransportException">It is no virtio device, does not have the interface, or its capabilities are broken.</exception>
    public static VirtioPciTransport Open(IPciFunction function, PciDriverOptions? options = null)
    {
        options ??= new();
        if (!PciFunctionIdentity.TryRead(function, out PciFunctionIdentity identity))
            throw new TransportException($"{function.Name}: vendor id reads all ones: the device has been unplugged");
        bool legacy = options.Interface switch
        {
            PciInterface.Legacy => true,
            PciInterface.Modern => false,
            _ => identity.IsTransitional && !ModernPciTransport.IsOfferedBy(function),
        };
        return legacy ? new LegacyPciTransport(function) : new ModernPciTransport(function, options.ThroughConfigurationSpace);
    }
}
