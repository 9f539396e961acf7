using System.Globalization;

namespace VirtioSharp.Transports.Pci;

/// <summary>Where a function is on its host's buses.</summary>
/// <param name="Bus">0–255.</param>
/// <param name="Device">0–31.</param>
/// <param name="Function">0–7.</param>
public readonly record struct PciAddress(byte Bus, byte Device, byte Function = 0)
{
    /// <summary>As lspci writes it: <c>00:04.0</c>.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Bus:x2}:{Device:x2}.{Function}");
}
