using System.Numerics;

namespace VirtioSharp.Transports.Pci.Software;

/// <summary>Where a BAR is decoded, and how wide its register is.</summary>
public enum PciBarKind
{
    /// <summary>Memory space, below 4 GiB.</summary>
    Memory32,
    /// <summary>Memory space; the next register is the upper half.</summary>
    Memory64,
    /// <summary>I/O space.</summary>
    Io,
}

/// <summary>What a base address register of a function in software leads to.</summary>
/// <remarks>Reads 0 and swallows writes where the BAR, a power of two, is larger than what is in it.</remarks>
public sealed class PciBar
{
    private readonly IRegisterWindow _registers;

    /// <summary>Describes a BAR.</summary>
    /// <param name="kind">Where it is decoded.</param>
    /// <param name="registers">What answers.</param>
    /// <param name="isPrefetchable">Whether reads have no side effects.</param>
    public PciBar(PciBarKind kind, IRegisterWindow registers, bool isPrefetchable = false)
    {
        (Kind, _registers, IsPrefetchable) = (kind, registers, isPrefetchable);
        Length = BitOperations.RoundUpToPowerOf2(Math.Max(registers.Length, 16));
    }

    /// <summary>Where it is decoded.</summary>
    public PciBarKind Kind { get; }

    /// <summary>Whether reads have no side effects.</summary>
    public bool IsPrefetchable { get; }

    /// <summary>Bytes of address space, a power of two.</summary>
    public ulong Length { get; }

    /// <summary>The low bits of the register, which say of what kind it is (PCI 3.0 §6.2.5.1).</summary>
    internal uint TypeBits => Kind switch
    {
        PciBarKind.Io => 1,
        PciBarKind.Memory64 => IsPrefetchable ? 0xCu : 4,
        _ => IsPrefetchable ? 8u : 0,
    };

    /// <summary>Reads a register; 0 where there is none.</summary>
    public uint Read(ulong offset, int width) =>
        RegisterAccess.IsInside(offset, width, _registers.Length) ? _registers.Read(offset, width) : 0;

    /// <summary>Writes a register; ignored where there is none.</summary>
    public void Write(ulong offset, int width, uint value)
    {
        if (RegisterAccess.IsInside(offset, width, _registers.Length))
            _registers.Write(offset, width, value);
    }
}
