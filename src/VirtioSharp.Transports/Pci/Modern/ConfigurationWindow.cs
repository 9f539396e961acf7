using VirtioSharp.Spec.Pci;
using VirtioSharp.Transports.Pci.Software;

namespace VirtioSharp.Transports.Pci.Modern;

/// <summary>The window on the structures through configuration space, for drivers that cannot map BARs (§4.1.4.9).</summary>
/// <remarks>
/// It works whatever the command register says. An access that the driver must not make (another width than 1, 2, 4, misaligned,
/// beyond the BAR, to a BAR without virtio structures) reads 0 and writes nothing.
/// </remarks>
internal sealed class ConfigurationWindow
{
    private readonly SoftwarePciFunction _function;
    private readonly PciConfigurationSpace _space;
    private readonly int _at;

    public ConfigurationWindow(SoftwarePciFunction function, PciConfigurationSpace space, ModernCapabilities capabilities)
    {
        (_function, _space) = (function, space);
        _at = capabilities.Add(VirtioPciCapabilityType.PciConfigurationAccess, bar: 0, offset: 0, length: 0, bytes: VirtioPciCapabilityLayout.NotifyBytes);
        space.AllowWrites(_at + VirtioPciCapabilityLayout.Bar, 0xFF);
        space.AllowWrites(_at + VirtioPciCapabilityLayout.Offset, 0xFFFF_FFFF);
        space.AllowWrites(_at + VirtioPciCapabilityLayout.AreaLength, 0xFFFF_FFFF);
        space.AllowWrites(_at + VirtioPciCapabilityLayout.WindowData, 0xFFFF_FFFF);
    }

    private int Data => _at + VirtioPciCapabilityLayout.WindowData;

    /// <summary>Before a configuration read: if it is of the data, they are fetched.</summary>
    public void OnRead(int offset)
    {
        if (offset < Data || offset >= Data + 4)
            return;
        uint value = TryGetTarget(out PciBar? bar, out uint target, out int width) ? bar.Read(target, width) : 0;
        _space.Set32(Data, value);
    }

    /// <summary>After a configuration write: if it was of the data, they are passed on.</summary>
    public void OnWritten(int offset)
    {
        if (offset >= Data && offset < Data + 4 && TryGetTarget(out PciBar? bar, out uint target, out int width))
            bar.Write(target, width, _space.Read(Data, 4) & RegisterAccess.AllOnes(width));
    }

    private bool TryGetTarget([System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out PciBar? bar, out uint offset, out int width)
    {
        uint index = _space.Read(_at + VirtioPciCapabilityLayout.Bar, 1);
        offset = _space.Read(_at + VirtioPciCapabilityLayout.Offset, 4);
        uint length = _space.Read(_at + VirtioPciCapabilityLayout.AreaLength, 4);
        width = (int)length;
        bar = index is ModernLayout.Bar or ModernLayout.SharedMemoryBar ? _function.Bar((int)index) : null;
        return bar is not null && RegisterAccess.IsNatural(offset, width);
    }
}
