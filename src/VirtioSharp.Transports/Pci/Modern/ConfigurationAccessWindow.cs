using VirtioSharp.Core.Errors;
using VirtioSharp.Spec.Pci;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>A BAR, seen through the PCI configuration access capability (§4.1.4.9): four configuration accesses for one.</summary>
/// <remarks>§4.1.4.9.2 allows accesses inside structures only, and aligned ones: whoever uses this keeps to the structures, and
/// what is not aligned is split into bytes.</remarks>
/// <param name="function">Whose.</param>
/// <param name="capability">Where the capability is in configuration space.</param>
/// <param name="bar">Which BAR.</param>
internal sealed class ConfigurationAccessWindow(IPciFunction function, int capability, int bar) : IRegisterWindow
{
    /// <summary>All that the capability can name: how much there is, only the structures tell.</summary>
    public ulong Length => 1UL << 32;

    public uint Read(ulong offset, int width)
    {
        if (IsAligned(offset, width))
            return ReadAligned(offset, width);
        uint value = 0;
        for (int i = 0; i < width; i++)
            value |= ReadAligned(offset + (ulong)i, 1) << (8 * i);
        return value;
    }

    public void Write(ulong offset, int width, uint value)
    {
        if (!IsAligned(offset, width)) // a register must not be written in pieces, and none is where this would happen
            throw new TransportException($"{function.Name}: a write of {width} bytes at 0x{offset:x} of BAR {bar} is not aligned: the configuration access capability has no such access");
        Aim(offset, width);
        function.WriteConfiguration(capability + VirtioPciCapabilityLayout.WindowData, width, value);
    }

    private static bool IsAligned(ulong offset, int width) => (offset & (ulong)(width - 1)) == 0;

    private uint ReadAligned(ulong offset, int width)
    {
        Aim(offset, width);
        return function.ReadConfiguration(capability + VirtioPciCapabilityLayout.WindowData, width);
    }

    private void Aim(ulong offset, int width)
    {
        function.WriteConfiguration(capability + VirtioPciCapabilityLayout.Bar, 1, (uint)bar);
        function.WriteConfiguration(capability + VirtioPciCapabilityLayout.Offset, 4, (uint)offset);
        function.WriteConfiguration(capability + VirtioPciCapabilityLayout.AreaLength, 4, (uint)width);
    }
}
