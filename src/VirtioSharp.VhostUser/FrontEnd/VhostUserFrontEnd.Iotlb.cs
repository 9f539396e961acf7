using VirtioSharp.Core.Memory;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

// The IOMMU between a back-end and the driver's memory (VhostUserFrontEndOptions.IotlbEntryBytes). The driver's addresses are its I/O
// addresses; a back-end that misses one is given the translation of what lies around it, as long as that is the driver's.
public sealed partial class VhostUserFrontEnd
{
    private bool _hasGiven;

    /// <summary>Whether an IOMMU is between the back-end and memory: it was wanted, and could be had.</summary>
    public bool IsTranslated => _link.IsTranslated;

    /// <summary>How often the back-end has asked for a translation.</summary>
    public int IotlbMisses { get; private set; }

    /// <summary>How often it said that its driver wanted what the IOMMU does not allow.</summary>
    public int AccessFailures { get; private set; }

    /// <summary>Takes all translations back. When this returns, the back-end uses none of them; it may ask again.</summary>
    /// <exception cref="VhostUserException">The back-end fails.</exception>
    public void InvalidateTranslations()
    {
        if (!_hasGiven || _accepted is null || _lost is not null) // the next back-end has none
            return;
        _hasGiven = false;
        _link.Channel.SendIotlb(new IotlbPayload(Dma.Region.Start.Value, Dma.Region.Length, 0, MemoryAccess.None, IotlbType.Invalidate));
    }

    private bool OnMissed(BackEndLink link, ulong address, MemoryAccess access)
    {
        IotlbMisses++;
        ulong offset = address - Dma.Region.Start.Value;
        if (offset >= Dma.Region.Length || access is MemoryAccess.None or > MemoryAccess.ReadWrite)
            return false;

        ulong size = (ulong)_options.IotlbEntryBytes, start = offset & ~(size - 1);
        ulong length = Math.Min(size, Dma.Region.Length - start);
        GuestAddress first = Dma.Region.Start.Plus(start);
        _hasGiven = true;
        link.Channel.SendIotlb(new IotlbPayload(first.Value, length, DriverMemory.ToUser(first, link), MemoryAccess.ReadWrite, IotlbType.Update));
        return true;
    }

    private bool OnAccessFailed()
    {
        AccessFailures++;
        return true;
    }
}
