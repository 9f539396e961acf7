using Xunit;

namespace VirtioSharp.VhostUser.Tests.Support;

/// <summary>A test of a device behind an IOMMU, with room for two rings.</summary>
public abstract class IotlbTest : IDisposable
{
    private protected const ulong Io = 0x20_0000_0000;
    private protected const byte Read = GuestIommu.Read, Write = GuestIommu.Write, ReadWrite = GuestIommu.ReadWrite;

    protected IotlbTest()
    {
        Ring = new GuestRing(Ram) { IoAddress = Io };
        Other = new GuestRing(Ram, GuestRing.Extent, index: 1) { IoAddress = Io + GuestRing.Extent };
        FrontEnd = Served.Connect();
    }

    private protected ServedDevice Served { get; } = new(new MoodyDevice());

    private protected GuestRam Ram { get; } = new();

    private protected GuestRing Ring { get; }

    private protected GuestRing Other { get; }

    private protected FrontEnd FrontEnd { get; }

    /// <summary>Disposed with the test, which starts it.</summary>
    private protected GuestIommu Iommu { get; set; } = null!;

    public void Dispose()
    {
        Iommu?.Dispose();
        FrontEnd.Dispose();
        Served.Dispose();
        Ring.Dispose();
        Other.Dispose();
        Ram.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Starts with the ring and a page of its buffers mapped.</summary>
    private protected void StartMapped()
    {
        Iommu = GuestIommu.Start(FrontEnd, Ram, Ring);
        Answers(3);
        Map(Ring.Buffer);
    }

    /// <summary>Gives a ring, and its first page of buffers, before it is missed.</summary>
    private protected void MapRing(GuestRing ring) => Assert.Equal(0UL, Iommu.Map(ring.IoAddress!.Value, GuestRing.Extent, ToUser(ring.IoAddress.Value), ReadWrite));

    private protected void Map(ulong page) => Assert.Equal(0UL, Iommu.Map(page, GuestIommu.PageBytes, ToUser(page), ReadWrite));

    private protected (ulong, byte)[] Answers(int count) => [.. Enumerable.Range(0, count).Select(_ => Iommu.Answer(ToUser))];

    private protected ulong ToUser(ulong io) => io - Io + Ram.Region.UserAddress;
}
