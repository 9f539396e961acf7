using VirtioSharp.Core.Memory;

namespace VirtioSharp.Transports.Pci;

/// <summary>What a chipset gives: configuration cycles, address space to place BARs in, interrupts. <c>PciBus</c> finds the functions.</summary>
public interface IPciHost : IDisposable
{
    /// <summary>Memory that functions can reach.</summary>
    DmaArena Dma { get; }

    /// <summary>The clock that waiting goes by.</summary>
    TimeProvider Time { get; }

    /// <summary>Where BARs in I/O space may be placed.</summary>
    PciAperture IoAperture { get; }

    /// <summary>Where BARs in memory space may be placed.</summary>
    PciAperture MemoryAperture { get; }

    /// <summary>A configuration read cycle; all ones where nobody answers.</summary>
    uint ReadConfiguration(PciAddress address, int offset, int width);

    /// <summary>A configuration write cycle.</summary>
    void WriteConfiguration(PciAddress address, int offset, int width, uint value);

    /// <summary>Accesses to I/O space.</summary>
    IRegisterWindow OpenIo(ulong address, ulong length);

    /// <summary>Accesses to memory space.</summary>
    IRegisterWindow OpenMemory(ulong address, ulong length);

    /// <summary>Where the interrupts of a function arrive.</summary>
    IPciInterrupts OpenInterrupts(PciAddress address);
}

/// <summary>A range of bus addresses.</summary>
public readonly record struct PciAperture(ulong Start, ulong Length);
