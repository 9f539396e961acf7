namespace VirtioSharp.Core.Memory;

/// <summary>One translation of a device's I/O addresses.</summary>
/// <param name="Region">Where the addresses start, how many there are, and where they lie here.</param>
/// <param name="Access">What the device may do there.</param>
public readonly record struct IotlbEntry(MemoryRegion Region, MemoryAccess Access)
{
    /// <summary>Its last address.</summary>
    public ulong Last => Region.Start.Value + (Region.Length - 1);

    /// <summary>Whether all that another one allows is allowed by this one, too, and in the same place.</summary>
    public bool Includes(in IotlbEntry other) =>
        other.Region.Start.Value >= Region.Start.Value && other.Last <= Last
        && (ulong)(other.Region.Host - Region.Host) == other.Region.Start.Value - Region.Start.Value
        && (Access & other.Access) == other.Access;
}
