using VirtioSharp.Core.Driver;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Software;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.FrontEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests.FrontEnds;

/// <summary>The same driver class, unchanged, by three ways to the same device.</summary>
public sealed class EntropyTests
{
    /// <summary>Every protocol feature that can be done without, on either side, and all of them at once.</summary>
    public static TheoryData<ProtocolFeatures, bool> Withheld => new(
        from feature in Enum.GetValues<ProtocolFeatures>().Where(feature => (feature & VhostUserFrontEndOptions.Implemented) == feature)
            .Append(VhostUserFrontEndOptions.Implemented)
        from byFrontEnd in new[] { true, false }
        select (feature, byFrontEnd));

    public static TheoryData<FeatureSet> WithheldFeatures =>
        [Features.None, Features.RingPacked, Features.InOrder, Features.EventIdx | Features.IndirectDesc, Features.RingPacked | Features.InOrder | Features.EventIdx | Features.IndirectDesc];

    [Fact]
    public void Over_loopback_PCI_and_vhost_user_the_driver_reads_the_same_bytes()
    {
        using var loopback = new LoopbackTransport(Counting());
        using var host = new SoftwarePciHost();
        host.Plug(new PciAddress(0, 4), new VirtioPciFunction(Counting()));
        using var bus = new PciBus(host);
        _ = bus.Scan();
        using VirtioPciTransport pci = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        using var served = new ServedDevice(Counting());
        using VhostUserFrontEnd vhostUser = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy);

        byte[] first = Read(loopback, 20_000);

        Assert.Equal(first, Read(pci, 20_000));
        Assert.Equal(first, Read(vhostUser, 20_000));
    }

    [Theory]
    [MemberData(nameof(WithheldFeatures), DisableDiscoveryEnumeration = true)]
    [Proves("Front-end for drivers", "vhost-user")]
    public void Every_kind_of_ring_goes_round_and_is_set_up_a_second_time(FeatureSet withheld)
    {
        using var served = new ServedDevice(Counting());
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, new() { WithheldFeatures = withheld });

        Assert.Equal(Read(frontEnd, 40_000)[..256], Enumerable.Range(0, 256).Select(value => (byte)value));
        byte[] second = Read(frontEnd, 40_000);

        Assert.Equal(second, Enumerable.Range(second[0], second.Length).Select(value => (byte)value));
        frontEnd.Dispose();
        SessionReport report = served.NextReport();
        Assert.Null(report.Ended);
        Assert.Empty(report.Faults);
        Assert.Equal(!withheld.Has(Features.RingPacked), report.DriverFeatures.Has(Features.RingPacked));
    }

    [Theory]
    [MemberData(nameof(Withheld))]
    [Proves("Front-end for drivers", "vhost-user")]
    public void Without_a_protocol_feature_it_works_all_the_same(ProtocolFeatures feature, bool byFrontEnd)
    {
        using var served = new ServedDevice(Counting(), new VhostUserOptions { Withheld = byFrontEnd ? 0 : feature });
        using VhostUserFrontEnd frontEnd = VhostUserFrontEnd.Connect(served.SocketPath, DeviceId.Entropy, new() { Withheld = byFrontEnd ? feature : 0 });

        Assert.Equal(ProtocolFeatures.None, frontEnd.Protocol & feature);
        byte[] bytes = Read(frontEnd, 5000);

        Assert.Equal(bytes, Enumerable.Range(0, bytes.Length).Select(value => (byte)value));
        frontEnd.Dispose();
        SessionReport report = served.NextReport();
        Assert.Null(report.Ended);
        Assert.Empty(report.Faults);
    }

    [Fact]
    public void A_connection_that_is_there_already_is_taken_as_it_is()
    {
        using var served = new ServedDevice(Counting());
        using var frontEnd = new VhostUserFrontEnd(Linux.UnixSocket.Connect(served.SocketPath), DeviceId.Entropy);

        Assert.Equal(100, Read(frontEnd, 100).Length);
    }

    /// <summary>0, 1, 2, … however many at a time.</summary>
    private static RngDevice Counting()
    {
        byte next = 0;
        return new RngDevice(room =>
        {
            foreach (ref byte value in room)
                value = next++;
            return room.Length;
        });
    }

    private static byte[] Read(IDriverTransport transport, int count)
    {
        using var driver = new RngDriver(transport);
        byte[] bytes = new byte[count];
        Assert.Equal(count, driver.Read(bytes, Patience.Limit));
        byte[] all = [.. driver.EarlyRandomness.Span, .. bytes]; // how much the device had ready at once is its own affair
        return all[..count];
    }
}
