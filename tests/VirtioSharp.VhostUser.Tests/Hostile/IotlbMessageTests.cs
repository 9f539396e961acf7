using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.Hostile;

/// <summary>Translations that cannot be meant.</summary>
public sealed class IotlbMessageTests : HostileTest
{
    private const ulong Io = 0x20_0000_0000, User = GuestRam.DefaultUserAddress;

    public static TheoryData<ulong, ulong, ulong, byte, byte, string> Impossible => new()
    {
        { Io, 4096, User, 3, 0, "type = 0 is neither UPDATE (2) nor INVALIDATE (3)" },
        { Io, 4096, User, 3, 1, "type = 1 is neither" },
        { Io, 4096, User, 3, 4, "type = 4 is neither" },
        { Io, 4096, User, 3, 255, "type = 255 is neither" },
        { Io, 4096, User, 0, 2, "permission = 0 is neither read (1), write (2) nor both (3)" },
        { Io, 4096, User, 4, 2, "permission = 4 is neither" },
        { Io, 4096, User, 255, 2, "permission = 255 is neither" },
        { Io, 0, User, 3, 2, $"I/O address = 0x{Io:x}, size = 0x0 is empty or wraps" },
        { Io, 0, User, 3, 3, $"I/O address = 0x{Io:x}, size = 0x0 is empty or wraps" },
        { ulong.MaxValue, 2, User, 3, 2, "I/O address = 0xffffffffffffffff, size = 0x2 is empty or wraps" },
        { 4096, ulong.MaxValue, User, 3, 3, "I/O address = 0x1000, size = 0xffffffffffffffff is empty or wraps" },
        { Io, 4096, ulong.MaxValue - 4000, 3, 2, "user address = 0xfffffffffffff05f, size = 0x1000 wraps" },
    };

    [Theory]
    [MemberData(nameof(Impossible))]
    public void One_that_is_impossible_is_refused(ulong address, ulong size, ulong user, byte permission, byte type, string why) =>
        AssertRefused(["IOTLB_MSG: ", why], frontEnd =>
        {
            using var ram = new GuestRam();
            using var ring = new GuestRing(ram) { IoAddress = Io };
            using GuestIommu iommu = GuestIommu.Start(frontEnd, ram, ring);
            frontEnd.Send(FrontEndRequest.IotlbMsg, Wire.Iotlb(address, size, user, permission, type));
            frontEnd.AssertClosed();
        });

    [Theory]
    [InlineData(0)]
    [InlineData(26)]
    [InlineData(31)]
    [InlineData(33)]
    public void One_of_another_size_is_refused(int size) =>
        AssertRefused($"size = 0x{size:x} of IOTLB_MSG: it has 32 bytes", frontEnd => frontEnd.Send(FrontEndRequest.IotlbMsg, new byte[size]));

    [Fact]
    public void One_without_an_IOMMU_is_refused() =>
        AssertRefused("IOTLB_MSG belongs to the feature ACCESS_PLATFORM, which was not negotiated", frontEnd =>
        {
            frontEnd.Negotiate();
            frontEnd.SetFeatures(FrontEnd.ModernFeatures);
            frontEnd.Send(FrontEndRequest.IotlbMsg, Wire.Iotlb(Io, 4096, User, 3, 2));
        });

    [Theory]
    [InlineData(ProtocolFeatures.ReplyAck)]
    [InlineData(ProtocolFeatures.BackEndReq)]
    public void An_IOMMU_without_what_it_needs_is_refused(ProtocolFeatures missing) =>
        AssertRefused("SET_FEATURES accepts ACCESS_PLATFORM(33) without the protocol features REPLY_ACK and BACKEND_REQ", frontEnd =>
        {
            frontEnd.Negotiate(FrontEnd.UsualProtocol & ~missing);
            frontEnd.Send(FrontEndRequest.SetFeatures, Wire.U64(GuestIommu.Features));
        });

    [Theory]
    [InlineData(0UL, 4096UL)]
    [InlineData(User - 1, 4096UL)]
    [InlineData(User + (1 << 20) - 4095, 4096UL)]
    [InlineData(User, 1UL << 62)]
    public void One_of_what_is_not_shared_is_answered_with_an_error_and_the_rest_goes_on(ulong user, ulong size)
    {
        using (FrontEnd frontEnd = Served.Connect())
        using (var ram = new GuestRam())
        using (var ring = new GuestRing(ram) { IoAddress = Io })
        using (GuestIommu iommu = GuestIommu.Start(frontEnd, ram, ring))
        {
            Assert.Equal(1UL, iommu.Map(2 * Io, size, user, GuestIommu.Read));

            Assert.Equal(0UL, iommu.Map(Io, GuestRing.Extent, User, GuestIommu.ReadWrite));
            ring.AssertServes();
        }

        Assert.Contains(Served.Log.Errors, line => line.Contains($"user address 0x{user:x}, size 0x{size:x}, is not all in shared memory", StringComparison.Ordinal));
        Served.NextReport();
        Served.AssertServesNext();
    }

    [Theory]
    [InlineData(2u, 5u, 8u)] // not what was asked
    [InlineData(1u, 1u, 8u)] // no answer
    [InlineData(1u, 6u, 8u)] // another version
    [InlineData(1u, 5u, 4u)]
    [InlineData(1u, 5u, uint.MaxValue)]
    public void An_answer_that_is_none_ends_the_asking_and_nothing_else(uint request, uint flags, uint size)
    {
        using (FrontEnd frontEnd = Served.Connect())
        using (var ram = new GuestRam())
        using (var ring = new GuestRing(ram) { IoAddress = Io })
        using (GuestIommu iommu = GuestIommu.Start(frontEnd, ram, ring))
        {
            iommu.NextMiss();
            iommu.SendRaw([.. Wire.Header(request, flags, size), .. Wire.U64(0)]);
            Served.Log.WaitFor("the front-end's socket for our requests is of no use any more: request =");

            Assert.Equal(0UL, iommu.Map(Io, GuestRing.Extent, User, GuestIommu.ReadWrite));
            ring.AssertServes();
        }

        Assert.Null(Served.NextReport().Ended);
        Served.AssertServesNext();
    }

    [Fact]
    public void A_thousand_misses_that_are_answered_only_by_translations_are_served()
    {
        using (FrontEnd frontEnd = Served.Connect())
        using (var ram = new GuestRam())
        using (var ring = new GuestRing(ram) { IoAddress = Io })
        using (GuestIommu iommu = GuestIommu.Start(frontEnd, ram, ring))
        {
            Assert.Equal(0UL, iommu.Map(Io, GuestRing.Extent, User, GuestIommu.ReadWrite));
            for (ushort i = 0; i < 1000; i++)
            {
                iommu.Invalidate(ring.Buffer, GuestIommu.PageBytes); // which takes the ring along: one translation has it all
                Assert.Equal(0UL, iommu.Map(Io, 0x10000, User, GuestIommu.ReadWrite));
                ring.OfferBuffer();
                ring.Kick.Signal();
                while (iommu.NextMiss().Address != ring.Buffer)
                {
                    // those of the ring came too late
                }

                Assert.Equal(0UL, iommu.Map(ring.Buffer, GuestIommu.PageBytes, User + 0x10000, GuestIommu.Write));
                ring.WaitUsed((ushort)(i + 1));
            }
        }

        Assert.Null(Served.NextReport().Ended);
        Served.AssertServesNext();
    }
}
