using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci;

/// <summary>A function that <see cref="PciBus"/> has placed.</summary>
internal sealed class PciBusFunction(IPciHost host, PciAddress address, List<PciBarPlacement> bars, Action<PciBusFunction> onClose) : IPciFunction
{
    private bool _disposed;

    public PciAddress Address => address;

    public List<PciBarPlacement> Bars => bars;

    public string Name { get; } = address.ToString();

    public DmaArena Dma => host.Dma;

    public TimeProvider Time => host.Time;

    public IPciInterrupts Interrupts { get; } = host.OpenInterrupts(address);

    /// <summary>False when it was pulled out, even if another of its kind was put into its place.</summary>
    public bool IsIntact => bars.TrueForAll(bar => bar.IsPlaced(host, address));

    public uint ReadConfiguration(int offset, int width) => host.ReadConfiguration(address, offset, width);

    public void WriteConfiguration(int offset, int width, uint value) => host.WriteConfiguration(address, offset, width, value);

    public IRegisterWindow? OpenBar(int bar)
    {
        foreach (PciBarPlacement placed in bars)
            if (placed.Index == bar)
                return placed.Kind == PciBarSpace.Io ? host.OpenIo(placed.Start, placed.Length) : host.OpenMemory(placed.Start, placed.Length);
        return null;
    }

    public void Enable()
    {
        PciCommand command = PciCommand.BusMaster;
        foreach (PciBarPlacement bar in bars)
            command |= bar.Kind == PciBarSpace.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        WriteConfiguration(PciConfigurationRegister.Command, 2, (uint)command);
        var held = (PciCommand)ReadConfiguration(PciConfigurationRegister.Command, 2);
        if ((held & command) != command || held == (PciCommand)0xFFFF)
            throw new TransportException($"{Name}: command = 0x{(ushort)held:x4} after 0x{(ushort)command:x4} was written");
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        try
        {
            WriteConfiguration(PciConfigurationRegister.Command, 2, (uint)PciCommand.None);
        }
        catch (TransportException)
        {
            // The carrier is gone, and the function with it.
        }

        onClose(this);
    }
}
