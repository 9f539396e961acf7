using VirtioSharp.Core.Driver;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Software;
using VirtioSharp.Transports.Tracing;
using Xunit;

namespace VirtioSharp.Transports.Tests.Tracing;

/// <summary>Who watches a transport changes nothing of it.</summary>
public sealed class TracingTransportTests
{
    [Fact]
    public void A_watched_transport_says_of_itself_what_the_transport_says()
    {
        using var host = new SoftwarePciHost();
        host.Plug(new PciAddress(0, 4), new VirtioPciFunction(new RngDevice(), new VirtioPciOptions { Interface = VirtioPciInterface.Legacy }));
        using var bus = new PciBus(host);
        bus.Scan();
        using VirtioPciTransport bare = PciDrivers.Open(bus.OpenFirst(Spec.DeviceId.Entropy)!);
        var walk = new Walk();
        IDriverTransport watched = new TracingTransport(bare, walk, new RingWatch(walk));

        Assert.Equal(0x1AF4u, watched.VendorId);
        Assert.Equal(
            (bare.DeviceId, bare.VendorId, bare.QueueCount, bare.LegacyAlignment, bare.Dma, bare.Time),
            (watched.DeviceId, watched.VendorId, watched.QueueCount, watched.LegacyAlignment, watched.Dma, watched.Time));
    }
}
