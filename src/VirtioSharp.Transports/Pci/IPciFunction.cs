using VirtioSharp.Core.Memory;

namespace VirtioSharp.Transports.Pci;

/// <summary>A PCI function as its driver has it, whatever carries the accesses: an emulated bus, a real machine, another process.</summary>
/// <remarks>The register personalities (modern, legacy) stand on this and know nothing of the carrier. One thread at a time.</remarks>
public interface IPciFunction : IDisposable
{
    /// <summary>For messages: which function this is.</summary>
    string Name { get; }

    /// <summary>Memory that the function can reach.</summary>
    DmaArena Dma { get; }

    /// <summary>The clock that waiting goes by.</summary>
    TimeProvider Time { get; }

    /// <summary>How it interrupts.</summary>
    IPciInterrupts Interrupts { get; }

    /// <summary>Reads configuration space; all ones when the function is gone.</summary>
    /// <param name="offset">A multiple of <paramref name="width"/> below 256.</param>
    /// <param name="width">1, 2 or 4 bytes.</param>
    uint ReadConfiguration(int offset, int width);

    /// <summary>Writes configuration space.</summary>
    void WriteConfiguration(int offset, int width, uint value);

    /// <summary>The registers behind a base address register.</summary>
    /// <param name="bar">0–5.</param>
    /// <returns>Null when the function has none there, or it is not in use (the upper half of a 64-bit one, say).</returns>
    IRegisterWindow? OpenBar(int bar);
}
