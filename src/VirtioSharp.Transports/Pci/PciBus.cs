using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci;

/// <summary>Finds the functions on a host's root bus, and gives those that a driver wants a place in address space.</summary>
/// <remarks>
/// Scanning only looks: a function that nobody opens is left as it is. The host's apertures belong to one bus object alone.
/// Buses behind bridges are not searched. Functions are unreliable: whatever they answer ends in a bounded number of accesses.
/// </remarks>
/// <param name="host">The chipset; not disposed.</param>
public sealed class PciBus(IPciHost host) : IDisposable
{
    private const int Devices = 32, FunctionsPerDevice = 8;
    private const byte MultiFunction = 0x80;

    private readonly PciApertureMap _io = new(host.IoAperture);
    private readonly PciApertureMap _memory = new(host.MemoryAperture);
    private readonly Dictionary<PciAddress, PciBusFunction> _open = [];
    private List<PciBusEntry> _functions = [];

    /// <summary>What the last <see cref="Scan"/> found, by address.</summary>
    public IReadOnlyList<PciBusEntry> Functions => _functions;

    /// <summary>Looks what is there. Again at any time: what was plugged in and out since is told.</summary>
    public PciScan Scan()
    {
        List<PciBusEntry> found = [];
        for (int device = 0; device < Devices; device++)
            ScanDevice((byte)device, found);

        HashSet<PciBusEntry> before = [.. _functions.Where(entry => !_open.TryGetValue(entry.Address, out PciBusFunction? open) || open.IsIntact)];
        PciScan scan = new(
            [.. found.Where(entry => !before.Contains(entry))],
            [.. _functions.Where(entry => !before.Contains(entry) || !found.Contains(entry))]);
        _functions = found;
        return scan;
    }

    /// <summary>Places the function's BARs and lets it decode, master the bus and raise its line.</summary>
    /// <param name="address">One of <see cref="Functions"/>.</param>
    /// <returns>The function. Disposing it switches it off and gives its addresses back.</returns>
    /// <exception cref="TransportException">It is not there, or its BARs are broken, or do not fit into the host's apertures.</exception>
    /// <exception cref="InvalidOperationException">It is open.</exception>
    public IPciFunction Open(PciAddress address)
    {
        if (_open.ContainsKey(address))
            throw new InvalidOperationException($"{address} is open: dispose that first, also when it has been unplugged");
        ushort vendor = (ushort)host.ReadConfiguration(address, PciConfigurationRegister.VendorId, 2);
        if (vendor is 0xFFFF or 0)
            throw new TransportException($"{address}: vendor id = 0x{vendor:x4}: there is no function");
        int layout = (int)host.ReadConfiguration(address, PciConfigurationRegister.HeaderType, 1) & ~MultiFunction;
        if (layout != 0)
            throw new TransportException($"{address}: header type = {layout}: not an ordinary function");

        List<PciBarPlacement> bars = Place(address);
        try
        {
            var function = new PciBusFunction(host, address, bars, Close);
            function.Enable();
            _open.Add(address, function);
            return function;
        }
        catch
        {
            Free(bars);
            throw;
        }
    }

    /// <summary>Opens the first virtio device of a kind that is not open yet.</summary>
    /// <returns>Null when the last scan saw none.</returns>
    /// <exception cref="TransportException">As for <see cref="Open"/>.</exception>
    public IPciFunction? OpenFirst(Spec.DeviceId type)
    {
        foreach (PciBusEntry entry in _functions)
            if (entry.Identity.IsVirtio && entry.Identity.VirtioType == type && !_open.ContainsKey(entry.Address))
                return Open(entry.Address);
        return null;
    }

    /// <summary>Closes what is still open.</summary>
    public void Dispose()
    {
        foreach (PciBusFunction function in _open.Values.ToArray())
            function.Dispose();
    }

    private void ScanDevice(byte device, List<PciBusEntry> found)
    {
        int functions = 1;
        for (int function = 0; function < functions; function++)
        {
            var address = new PciAddress(0, device, (byte)function);
            if (!PciFunctionIdentity.TryRead((offset, width) => host.ReadConfiguration(address, offset, width), out PciFunctionIdentity identity))
                continue; // without a function 0 there are no others
            found.Add(new(address, identity));
            if (function == 0 && (host.ReadConfiguration(address, PciConfigurationRegister.HeaderType, 1) & MultiFunction) != 0)
                functions = FunctionsPerDevice;
        }
    }

    private List<PciBarPlacement> Place(PciAddress address)
    {
        // While a register is sized or moved, the function must not answer at the address it happens to hold.
        host.WriteConfiguration(address, PciConfigurationRegister.Command, 2, (uint)PciCommand.None);
        List<PciBarPlacement> placed = [];
        try
        {
            // The larger first: less is lost to alignment.
            foreach (PciBarPlacement bar in PciBarPlacement.SizeAll(host, address).OrderByDescending(bar => bar.Length))
            {
                PciAperture aperture = bar.Kind == PciBarSpace.Io ? host.IoAperture : host.MemoryAperture;
                if (!Aperture(bar).TryAllocate(bar.Length, bar.LastAddress, out ulong start))
                    throw new TransportException($"{address}: BAR {bar.Index} wants 0x{bar.Length:x} bytes: no room in the host's 0x{aperture.Length:x} from 0x{aperture.Start:x}");
                placed.Add(bar with { Start = start });
                placed[^1].Place(host, address);
            }
        }
        catch
        {
            Free(placed);
            throw;
        }

        return placed;
    }

    private void Close(PciBusFunction function)
    {
        if (_open.Remove(function.Address))
            Free(function.Bars);
    }

    private void Free(List<PciBarPlacement> bars)
    {
        foreach (PciBarPlacement bar in bars)
            Aperture(bar).Free(bar.Start);
    }

    private PciApertureMap Aperture(PciBarPlacement bar) => bar.Kind == PciBarSpace.Io ? _io : _memory;
}
