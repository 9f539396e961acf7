using System.Numerics;
using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci;

/// <summary>A base address register: how much it decodes, and where it was placed (PCI 3.0 §6.2.5.1).</summary>
internal readonly record struct PciBarPlacement(int Index, PciBarSpace Kind, ulong Length, ulong Start = 0)
{
    private const uint IoFlag = 1;
    private const uint MemoryTypeMask = 6, MemoryType64 = 4, MemoryType32 = 0, MemoryTypeBelow1M = 2;

    /// <summary>How many registers it takes.</summary>
    public int Registers => Kind == PciBarSpace.Memory64 ? 2 : 1;

    /// <summary>The last address it can hold.</summary>
    public ulong LastAddress => Kind == PciBarSpace.Memory64 ? ulong.MaxValue : Kind == PciBarSpace.MemoryBelow1M ? 0xF_FFFF : uint.MaxValue;

    /// <summary>Finds out what a function wants. Its decoding must be off: for a moment its registers hold all ones.</summary>
    /// <exception cref="TransportException">A register answers what no register can.</exception>
    public static List<PciBarPlacement> SizeAll(IPciHost host, PciAddress function)
    {
        List<PciBarPlacement> bars = [];
        for (int index = 0; index < 6; index++)
            if (Size(host, function, index) is { } bar)
            {
                bars.Add(bar);
                index += bar.Registers - 1;
            }

        return bars;
    }

    /// <summary>Writes the address, and reads it back.</summary>
    /// <exception cref="TransportException">The register does not hold it.</exception>
    public void Place(IPciHost host, PciAddress function)
    {
        for (int half = 0; half < Registers; half++)
            host.WriteConfiguration(function, PciConfigurationRegister.Bar(Index + half), 4, (uint)(Start >> (32 * half)));
        if (!IsPlaced(host, function))
            throw new TransportException($"{function}: BAR {Index} does not hold the address 0x{Start:x} that was written to it");
    }

    /// <summary>Whether the address is still there: a function that was pulled out and put back has forgotten it.</summary>
    public bool IsPlaced(IPciHost host, PciAddress function)
    {
        ulong value = 0;
        for (int half = 0; half < Registers; half++)
            value |= (ulong)host.ReadConfiguration(function, PciConfigurationRegister.Bar(Index + half), 4) << (32 * half);
        return (value & ~(Kind == PciBarSpace.Io ? 3UL : 15UL)) == Start;
    }

    private static PciBarPlacement? Size(IPciHost host, PciAddress function, int index)
    {
        uint low = Probe(host, function, index);
        if (low == 0)
            return null;
        if (low == uint.MaxValue) // bit 1 of an I/O BAR reads 0
            throw new TransportException($"{function}: BAR {index} reads 0xffffffff: the function has been unplugged");
        if ((low & IoFlag) != 0)
            return new(index, PciBarSpace.Io, CheckedLength(function, index, IoMask(low & ~3u)));

        switch (low & MemoryTypeMask)
        {
            case MemoryType32:
                return new(index, PciBarSpace.Memory32, CheckedLength(function, index, Widen(low & ~15u)));
            case MemoryTypeBelow1M:
                return new(index, PciBarSpace.MemoryBelow1M, CheckedLength(function, index, Widen(low & ~15u)));
            case MemoryType64 when index < 5:
                ulong mask = low & ~15u | (ulong)Probe(host, function, index + 1) << 32;
                return new(index, PciBarSpace.Memory64, CheckedLength(function, index, mask));
            default:
                throw new TransportException($"{function}: BAR {index} = 0x{low:x8}: " + (index < 5 ? "the memory type 3 is reserved" : "a 64-bit register has no upper half here"));
        }
    }

    private static uint Probe(IPciHost host, PciAddress function, int index)
    {
        int register = PciConfigurationRegister.Bar(index);
        uint before = host.ReadConfiguration(function, register, 4);
        host.WriteConfiguration(function, register, 4, uint.MaxValue);
        uint mask = host.ReadConfiguration(function, register, 4);
        host.WriteConfiguration(function, register, 4, before);
        return mask;
    }

    // An I/O BAR may have 16 bits only. 0 stays 0: no bit of it can be written.
    private static ulong IoMask(uint mask) => mask is not 0 and <= 0xFFFF ? Widen(mask | 0xFFFF_0000) : Widen(mask);

    private static ulong Widen(uint mask) => mask == 0 ? 0 : mask | 0xFFFF_FFFF_0000_0000;

    private static ulong CheckedLength(PciAddress function, int index, ulong mask)
    {
        ulong length = unchecked(~mask + 1);
        if (length == 0 || !BitOperations.IsPow2(length))
            throw new TransportException($"{function}: BAR {index} reads 0x{mask:x} after all ones were written: its size would be 0x{length:x}");
        return length;
    }
}

/// <summary>What a base address register decodes.</summary>
internal enum PciBarSpace
{
    /// <summary>I/O space.</summary>
    Io,

    /// <summary>Memory space, at a 32-bit address.</summary>
    Memory32,

    /// <summary>Memory space, at a 64-bit address: takes the next register too.</summary>
    Memory64,

    /// <summary>Memory space, in the first MiB; no longer used since PCI 2.2.</summary>
    MemoryBelow1M,
}
