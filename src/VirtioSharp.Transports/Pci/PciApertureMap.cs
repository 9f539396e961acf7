namespace VirtioSharp.Transports.Pci;

/// <summary>Which parts of an aperture are in use. First fit, naturally aligned; what is freed can be used again.</summary>
internal sealed class PciApertureMap(PciAperture aperture)
{
    private readonly SortedList<ulong, ulong> _used = [];

    /// <summary>Takes a range.</summary>
    /// <param name="length">Bytes, a power of two; also the alignment.</param>
    /// <param name="last">The last address that the range may reach.</param>
    /// <param name="start">Where it is.</param>
    public bool TryAllocate(ulong length, ulong last, out ulong start)
    {
        start = 0;
        if (aperture.Length == 0 || length == 0)
            return false;
        last = Math.Min(last, Last(aperture.Start, aperture.Length));
        // Address 0 means "nowhere yet" to a BAR.
        if (!TryAlign(Math.Max(aperture.Start, 1), length, out start))
            return false;
        foreach ((ulong usedStart, ulong usedLength) in _used)
        {
            if (start <= last && Last(start, length) < usedStart)
                break;
            ulong usedLast = Last(usedStart, usedLength);
            if (usedLast >= start && (usedLast == ulong.MaxValue || !TryAlign(usedLast + 1, length, out start)))
                return false;
        }

        if (start > last || Last(start, length) > last)
            return false;
        _used.Add(start, length);
        return true;
    }

    /// <summary>Gives a range back.</summary>
    public void Free(ulong start) => _used.Remove(start);

    // No range wraps: an aligned start below 2^64 leaves room for a power of two.
    private static ulong Last(ulong start, ulong length) => length - 1 > ulong.MaxValue - start ? ulong.MaxValue : start + (length - 1);

    private static bool TryAlign(ulong value, ulong alignment, out ulong aligned)
    {
        aligned = unchecked(value + (alignment - 1)) & ~(alignment - 1);
        return aligned >= value;
    }
}
