using VirtioSharp.Core.Memory;
using VirtioSharp.Linux;
using VirtioSharp.VhostUser.Protocol;

namespace VirtioSharp.VhostUser.FrontEnd;

/// <summary>The driver's memory, as a file that its back-end maps, too: one region.</summary>
/// <remarks>
/// Sealed: a back-end that cut it short would end this process with SIGBUS. Its "user address" is not where it lies here,
/// which is nobody else's business, and not its guest address either, so that whoever mixes them up fails at once.
/// </remarks>
internal sealed class DriverMemory : IDisposable
{
    private const string FileName = "virtio-driver";
    private const ulong UserStart = 0x7f00_0000_0000;
    private const ulong BehindIommu = 0x40_0000_0000; // the guest address behind it, less the driver's
    private static readonly GuestAddress Start = new(0x1_0000_0000);

    private readonly FileDescriptor _file;

    public DriverMemory(int bytes)
    {
        ulong page = (ulong)Environment.SystemPageSize;
        ulong length = ((ulong)bytes + page - 1) & ~(page - 1);
        _file = MemFd.Create(FileName, (long)length);
        try
        {
            MemFd.AddSeals(_file, FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal);
            MappedRegion mapping = MappedRegion.Map(_file, 0, length);
            Dma = new DmaArena(new MemoryRegion(Start, length, mapping.Address), mapping);
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    public DmaArena Dma { get; }

    /// <summary>The address by which the back-end is told of a ring: the driver's own behind an IOMMU.</summary>
    public static ulong ToBackEnd(GuestAddress address, BackEndLink link) => link.IsTranslated ? address.Value : ToUser(address, link);

    /// <summary>The "user address" that the back-end knows it by.</summary>
    public static ulong ToUser(GuestAddress address, BackEndLink link) => address.Value - Start.Value + UserStartFor(link);

    /// <summary>Tells the back-end. The one message is for a single region, the other for all there are.</summary>
    public void ShowTo(BackEndLink link)
    {
        var region = new MemoryRegionPayload(GuestStartFor(link), Dma.Region.Length, UserStartFor(link), MmapOffset: 0);
        if (link.Has(ProtocolFeatures.ConfigureMemSlots))
            link.Channel.Send(FrontEndRequest.AddMemReg, new SingleMemoryRegion(region), _file);
        else
            link.Channel.Send(FrontEndRequest.SetMemTable, new TablePayload { Header = new MemoryTableHeader(regions: 1), Region = region }, _file);
    }

    public void Dispose()
    {
        Dma.Dispose();
        _file.Dispose();
    }

    private static ulong GuestStartFor(BackEndLink link) => link.IsTranslated ? Start.Value + BehindIommu : Start.Value;

    private static ulong UserStartFor(BackEndLink link) => link.Has(ProtocolFeatures.GpaAddresses) ? GuestStartFor(link) : UserStart;

    private struct TablePayload
    {
        public MemoryTableHeader Header;
        public MemoryRegionPayload Region;
    }
}
