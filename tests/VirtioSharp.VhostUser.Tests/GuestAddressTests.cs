using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;
using static VirtioSharp.VhostUser.Protocol.FrontEndRequest;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>Guest addresses in place of user addresses (GPA_ADDRESSES).</summary>
[Proves("GPA_ADDRESSES", "vhost-user")]
public sealed class GuestAddressTests
{
    private const ProtocolFeatures Protocol = FrontEnd.UsualProtocol | ProtocolFeatures.GpaAddresses;

    [Fact]
    public void A_ring_is_found_by_its_guest_address_and_its_region_is_removed_by_it()
    {
        using var served = new ServedDevice();
        using FrontEnd frontEnd = served.Connect();
        using var ram = new GuestRam(userAddress: GuestRam.DefaultGuestAddress);
        using var more = new GuestRam(guestAddress: 1UL << 32, userAddress: 1UL << 32);
        using var ring = new GuestRing(ram);
        frontEnd.Negotiate(Protocol);
        frontEnd.SetFeatures(FrontEnd.ModernFeatures);

        frontEnd.AddMemory(ram);
        frontEnd.AddMemory(more);
        frontEnd.StartRing(ring);
        frontEnd.RemoveMemory(more);

        ring.AssertServes();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_region_with_another_user_address_breaks_the_rules(bool table)
    {
        using var served = new ServedDevice();
        using var ram = new GuestRam();
        using (FrontEnd frontEnd = served.Connect())
        {
            frontEnd.Negotiate(Protocol);

            if (table)
                frontEnd.Send(SetMemTable, Wire.Table(1, ram.Region), ram.File);
            else
                frontEnd.Send(AddMemReg, Wire.OneRegion(ram.Region), ram.File);

            frontEnd.AssertClosed();
        }

        Assert.Equal("memory region at 0x40000000: user address = 0x7f1200000000 must be the guest address, too (GPA_ADDRESSES)", served.NextReport().Ended);
        served.AssertServesNext();
    }

    [Theory]
    [InlineData(ProtocolFeatures.None, true, 0)]
    [InlineData(ProtocolFeatures.GpaAddresses, false, 0)]
    [InlineData(ProtocolFeatures.ConfigureMemSlots, true, 0)]
    [InlineData(ProtocolFeatures.None, true, 4096)]
    public void Our_front_end_says_them_if_it_may(ProtocolFeatures withheld, bool expected, int iotlbEntryBytes)
    {
        using var served = new ServedDevice();
        using (VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, new() { Withheld = withheld, IotlbEntryBytes = iotlbEntryBytes }))
        using (var driver = new RngDriver(frontEnd))
        {
            byte[] bytes = new byte[10_000];
            Assert.Equal(bytes.Length, driver.Read(bytes, Patience.Limit));
            Assert.Equal((expected, iotlbEntryBytes > 0), ((frontEnd.Protocol & ProtocolFeatures.GpaAddresses) != 0, frontEnd.IsTranslated));
        }

        Assert.Null(served.NextReport().Ended);
    }
}
