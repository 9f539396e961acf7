using VirtioSharp.Testing;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>What is mapped for a ring behind an IOMMU: counted in the whole process.</summary>
[Collection(Alone.Name)]
[Proves("ACCESS_PLATFORM (IOTLB)", "vhost-user")]
public sealed class IotlbMappingTests : IotlbTest
{
    [Fact]
    public void A_ring_that_lies_apart_and_is_never_given_whole_leaves_no_mappings_behind()
    {
        FrontEnd.Negotiate();
        Iommu = new GuestIommu(FrontEnd);
        FrontEnd.SetFeatures(GuestIommu.Features);
        FrontEnd.AddMemory(Ram);
        Assert.Equal(0UL, Iommu.Map(Io, 4096, ToUser(Io + 4096), Read));
        Assert.Equal(0UL, Iommu.Map(Io + 4096, 4096, ToUser(Io), Read));
        Ring.IoAddress = Io + 2048;
        FrontEnd.StartRing(Ring);
        int before = Mappings();

        for (ulong i = 1; i <= 50; i++)
            Assert.Equal(0UL, Iommu.Map(2 * Io + i * 4096, 4096, ToUser(Io), Read));

        Assert.Equal(before, Mappings());

        static int Mappings() => File.ReadLines("/proc/self/maps").Count(line => line.Contains(GuestRam.FileName, StringComparison.Ordinal));
    }
}
