namespace VirtioSharp.Transports.Pci.Software;

/// <summary>Which BAR answers at an address, in one of the two spaces. Made anew, at the next access, when something was moved.</summary>
internal sealed class PciAddressMap(bool isIo)
{
    private readonly List<PciMapping> _mappings = [];
    private PciSlot[] _slots = [];
    private bool _isStale;

    /// <summary>Changes when what was found before may be wrong.</summary>
    public int Version { get; private set; }

    public void Invalidate(PciSlot[] slots)
    {
        (_slots, _isStale) = (slots, true);
        Version++;
    }

    /// <summary>Finds the BAR that an address is in; of two at the same place, the one that was plugged in first.</summary>
    public bool TryFind(ulong address, out PciMapping found)
    {
        if (_isStale)
            Collect();
        foreach (PciMapping mapping in _mappings)
        {
            if (address - mapping.Start >= mapping.Bar.Length)
                continue;
            found = mapping;
            return true;
        }

        found = default;
        return false;
    }

    private void Collect()
    {
        _isStale = false;
        _mappings.Clear();
        foreach (PciSlot slot in _slots)
        {
            for (int bar = 0; bar < 6; bar++)
            {
                if (slot.Function is { } function && function.TryGetMapping(bar, out PciMapping mapping) && mapping.Bar.Kind == PciBarKind.Io == isIo)
                    _mappings.Add(mapping);
            }
        }
    }
}
