namespace VirtioSharp.Transports.Pci.Software;

/// <summary>A range of addresses on the bus. What answers there is looked up once, and again when a BAR was moved.</summary>
/// <remarks>Where nothing answers, or beyond the range, reads are all ones and writes go nowhere.</remarks>
internal sealed class PciSpaceWindow(PciAddressMap map, ulong start, ulong length) : IRegisterWindow
{
    private PciMapping _hit;
    private ulong _hitLength;
    private int _version = -1;

    public ulong Length { get; } = length;

    public uint Read(ulong offset, int width) => TryRoute(offset, width, out ulong inBar)
        ? _hit.Bar.Read(inBar, width)
        : RegisterAccess.AllOnes(width);

    public void Write(ulong offset, int width, uint value)
    {
        if (TryRoute(offset, width, out ulong inBar))
            _hit.Bar.Write(inBar, width, value);
    }

    private bool TryRoute(ulong offset, int width, out ulong inBar)
    {
        inBar = start + offset - _hit.Start;
        if (!RegisterAccess.IsInside(offset, width, Length))
            return false;
        return (_version == map.Version && inBar < _hitLength) || TryFind(start + offset, out inBar);
    }

    private bool TryFind(ulong address, out ulong inBar)
    {
        bool isFound = map.TryFind(address, out _hit);
        (_version, _hitLength) = (map.Version, isFound ? _hit.Bar.Length : 0);
        inBar = address - _hit.Start;
        return isFound;
    }
}
