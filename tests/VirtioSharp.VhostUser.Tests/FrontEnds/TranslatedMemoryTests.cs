using VirtioSharp.Core.Driver;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.FrontEnds;

/// <summary>Our front-end puts an IOMMU between our server and the driver's memory.</summary>
[Collection(Alone.Name)]
public sealed class TranslatedMemoryTests
{
    private static readonly VhostUserFrontEndOptions Pages = new() { IotlbEntryBytes = 4096 };

    public static TheoryData<bool, int> Kinds => new() { { false, 4096 }, { true, 4096 }, { false, 1 << 20 }, { true, 1 << 20 } };

    [Theory]
    [MemberData(nameof(Kinds))]
    [Proves("ACCESS_PLATFORM (IOTLB)", "vhost-user")]
    public void A_driver_reads_through_it_and_again_after_everything_was_taken_back(bool isPacked, int entryBytes)
    {
        using var served = new ServedDevice();
        using (VhostUserFrontEnd frontEnd = Connect(served, new() { IotlbEntryBytes = entryBytes, WithheldFeatures = isPacked ? default : Features.RingPacked }))
        using (var driver = new RngDriver(frontEnd))
        {
            Assert.True(frontEnd.IsTranslated);
            AssertReads(driver);
            int misses = frontEnd.IotlbMisses;
            Assert.True(misses > 0, "nothing was missed");

            frontEnd.InvalidateTranslations();
            AssertReads(driver);
            Assert.True(frontEnd.IotlbMisses > misses, "nothing was missed after everything was taken back");
            Assert.Equal(0, frontEnd.AccessFailures);
        }

        SessionReport report = served.NextReport();
        Assert.Null(report.Ended);
        Assert.Empty(report.Faults);
        Assert.True(report.DriverFeatures.Has(Features.AccessPlatform));
        Assert.True(report.IotlbMisses > 1);
    }

    [Theory]
    [InlineData(ProtocolFeatures.ReplyAck)]
    [InlineData(ProtocolFeatures.BackEndReq)]
    public void Without_what_it_needs_of_the_protocol_it_is_neither_offered_nor_used(ProtocolFeatures withheld)
    {
        using var served = new ServedDevice(options: new VhostUserOptions { Withheld = withheld });
        using VhostUserFrontEnd frontEnd = Connect(served, Pages);
        using var driver = new RngDriver(frontEnd);

        AssertReads(driver);

        Assert.False(frontEnd.Offer.Features.Has(Features.AccessPlatform));
        Assert.False(frontEnd.IsTranslated);
    }

    [Fact]
    public void From_a_back_end_that_has_left_nothing_is_to_be_taken_back()
    {
        using var served = new ServedDevice();
        using VhostUserFrontEnd frontEnd = Connect(served, Pages);
        using var driver = new RngDriver(frontEnd);
        AssertReads(driver);
        served.Stop();
        served.AssertEnds();
        Assert.Throws<VhostUserException>(() => frontEnd.WaitForInterrupt([InterruptSource.Configuration], Patience.Limit));

        frontEnd.InvalidateTranslations();

        Assert.Equal(0, frontEnd.BackEndProcess);
    }

    [Fact]
    public void It_can_be_left_out_at_either_end()
    {
        using var without = new ServedDevice(options: new VhostUserOptions { WithheldFeatures = Features.AccessPlatform });
        using (VhostUserFrontEnd frontEnd = Connect(without, Pages))
            Assert.False(frontEnd.IsTranslated);
        using var with = new ServedDevice();
        using (VhostUserFrontEnd frontEnd = Connect(with, new()))
            Assert.False(frontEnd.IsTranslated);
    }

    [Fact]
    public void Once_all_is_translated_a_request_allocates_nothing()
    {
        var probe = new AllocationProbe(new Devices.Rng.RngDevice(), first: 50, last: 1000);
        using var served = new ServedDevice(probe);
        using VhostUserFrontEnd frontEnd = Connect(served, Pages);
        using var driver = new RngDriver(frontEnd);

        Assert.Equal(64 * 1100, driver.Read(new byte[64 * 1100], Patience.Limit));

        Assert.Equal(0, probe.Allocated);
    }

    private static VhostUserFrontEnd Connect(ServedDevice served, VhostUserFrontEndOptions options) =>
        VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, options);

    private static void AssertReads(RngDriver driver)
    {
        byte[] bytes = new byte[20_000];
        Assert.Equal(bytes.Length, driver.Read(bytes, Patience.Limit));
        Assert.True(bytes.AsSpan().Count((byte)0) < 400, "the bytes are not random");
    }
}
