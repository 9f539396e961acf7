using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Pci;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Pci;
using VirtioSharp.Transports.Pci.Modern;
using VirtioSharp.Transports.Pci.Software;
using Xunit;

namespace VirtioSharp.Transports.Tests.Pci;

/// <summary>Our driver finds our device on a bus in this process, and nothing between them is by hand.</summary>
public sealed class EndToEndTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly PciAddress Slot4 = new(0, 4);

    public static TheoryData<bool, InterruptKind> Combinations => new(
        from packed in new[] { false, true }
        from kind in Enum.GetValues<InterruptKind>()
        select (packed, kind));

    [Theory]
    [MemberData(nameof(Combinations))]
    [Proves("Entropy device", "in-process PCI, modern")]
    [Proves("Entropy driver", "in-process PCI, modern")]
    [Proves("Split ring", "in-process PCI, modern")]
    [Proves("Packed ring", "in-process PCI, modern")]
    [Proves("NOTIFICATION_DATA", "in-process PCI, modern")]
    [Proves("MSI-X", "in-process PCI, modern")]
    [Proves("INTx", "in-process PCI, modern")]
    [Proves("Feature negotiation", "in-process PCI, modern")]
    public void Bytes_come_through_configuration_space_with_every_ring_and_kind_of_interrupt(bool packed, InterruptKind kind)
    {
        using SoftwarePciHost host = HostWith(VirtioPciInterface.Modern);
        using var bus = new PciBus(host);
        _ = bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!, new() { ThroughConfigurationSpace = true });
        Assert.IsType<ModernPciTransport>(transport);

        FeatureSet negotiated = Exchange(transport, kind, packed ? default : Features.RingPacked);

        Assert.Equal((packed, true), (negotiated.Has(Features.RingPacked), negotiated.Has(Features.NotificationData)));
    }

    [Theory]
    [InlineData(VirtioPciInterface.Modern, true)]
    [InlineData(VirtioPciInterface.Transitional, true)]
    [InlineData(VirtioPciInterface.Legacy, false)]
    [Proves("Entropy driver", "in-process PCI, modern")]
    [Proves("Entropy driver", "in-process PCI, legacy")]
    public void The_entropy_driver_needs_to_know_nothing_of_it(VirtioPciInterface device, bool modern)
    {
        using SoftwarePciHost host = HostWith(device);
        using var bus = new PciBus(host);
        _ = bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        using var driver = new RngDriver(transport);
        byte[] bytes = new byte[1000];

        Assert.Equal(1000, driver.Read(bytes, Patience));

        Assert.Equal(modern, transport is ModernPciTransport);
        Assert.True(bytes.Distinct().Count() > 100);
        Assert.Equal(32, driver.EarlyRandomness.Length);
        transport.Dispose();
        Assert.Equal(0u, host.ReadConfiguration(Slot4, PciConfigurationRegister.Command, 2));
        using VirtioPciTransport again = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        Assert.Equal(DeviceStatus.Reset, again.ReadStatus());
    }

    [Theory]
    [InlineData(1, InterruptKind.Line)]
    [InlineData(2, InterruptKind.VectorPerQueue)] // one queue, one configuration
    [InlineData(0, InterruptKind.Line)]
    [Proves("Rate limit", "in-process PCI, modern")]
    public void A_driver_sleeps_until_a_slow_device_interrupts(int vectors, InterruptKind kind)
    {
        using var host = new SoftwarePciHost();
        host.Plug(Slot4, new VirtioPciFunction(new RngDevice(limit: new RateLimit(64, TimeSpan.FromMilliseconds(5))), new() { Vectors = vectors }));
        using var bus = new PciBus(host);
        _ = bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        using var driver = new RngDriver(transport, bufferSize: 64);
        byte[] bytes = new byte[640];

        Assert.Equal(640, driver.Read(bytes, Patience));
        Assert.Equal(kind, transport.InterruptKind);
    }

    [Fact]
    public void A_device_that_is_pulled_out_is_an_error_and_its_successor_works()
    {
        using SoftwarePciHost host = HostWith(VirtioPciInterface.Modern);
        using var bus = new PciBus(host);
        _ = bus.Scan();
        using (VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!))
        {
            using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
            DriverQueue queue = session.EnableQueue(0);
            session.Start();

            host.Unplug(Slot4);

            Assert.Equal([Slot4], bus.Scan().Removed.Select(entry => entry.Address));
            Assert.Throws<TransportException>(() => session.NeedsReset);
            Assert.True(queue.TryAdd([], [transport.Dma.Allocate(64)], out _));
            queue.Kick();
            Assert.False(queue.Wait(TimeSpan.FromMilliseconds(10), out _, out _));
        }

        host.Plug(Slot4, new VirtioPciFunction(new RngDevice()));
        Assert.Equal([Slot4], bus.Scan().Added.Select(entry => entry.Address));
        using VirtioPciTransport next = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        using var driver = new RngDriver(next);
        Assert.Equal(100, driver.Read(new byte[100], Patience));
    }

    [Theory]
    [InlineData(VirtioPciInterface.Modern, InterruptKind.VectorPerQueue)]
    [InlineData(VirtioPciInterface.Modern, InterruptKind.Line)]
    [InlineData(VirtioPciInterface.Legacy, InterruptKind.VectorPerQueue)]
    [InlineData(VirtioPciInterface.Legacy, InterruptKind.Line)]
    [Proves("No allocation per request", "in-process PCI, modern")]
    [Proves("No allocation per request", "in-process PCI, legacy")]
    public void A_request_allocates_nothing(VirtioPciInterface device, InterruptKind kind)
    {
        using SoftwarePciHost host = HostWith(device);
        using var bus = new PciBus(host);
        _ = bus.Scan();
        using VirtioPciTransport transport = PciDrivers.Open(bus.OpenFirst(DeviceId.Entropy)!);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        session.BestInterrupts = kind;
        DriverQueue queue = session.EnableQueue(0);
        Assert.Equal(kind, transport.InterruptKind);
        session.Start();
        DmaBuffer[] buffer = [transport.Dma.Allocate(64)];
        InterruptSource[] sources = [InterruptSource.Queue(0)];
        Run(200);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(200);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());

        void Run(int requests)
        {
            for (int i = 0; i < requests; i++)
            {
                _ = queue.TryAdd([], buffer, out _);
                queue.Kick();
                _ = transport.WaitForInterrupt(sources, TimeSpan.Zero);
                if (!queue.TryGet(out _, out _))
                    throw new InvalidOperationException("no answer");
            }
        }
    }

    private static SoftwarePciHost HostWith(VirtioPciInterface kind)
    {
        var host = new SoftwarePciHost();
        host.Plug(Slot4, new VirtioPciFunction(new RngDevice(), new() { Interface = kind, Vectors = 3 }));
        return host;
    }

    private static FeatureSet Exchange(VirtioPciTransport transport, InterruptKind kind, FeatureSet withheld)
    {
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy, wanted: Features.NotifyConfigData, withheld: withheld);
        session.BestInterrupts = kind;
        DriverQueue queue = session.EnableQueue(0);
        Assert.Equal((kind, kind), (session.Interrupts, transport.InterruptKind));
        session.Start();
        for (int i = 0; i < 300; i++)
            Roundtrip(transport, queue, i % 10 == 0 ? transport.Dma.Allocate(64) : null);
        Assert.False(session.NeedsReset);
        return session.NegotiatedFeatures;
    }

    private static void Roundtrip(VirtioPciTransport transport, DriverQueue queue, DmaBuffer? buffer = null)
    {
        DmaBuffer room = buffer ?? transport.Dma.Allocate(16);
        Assert.False(queue.Wait(TimeSpan.Zero, out _, out _)); // asks for an interrupt
        Assert.True(queue.TryAdd([], [room], out ushort id));
        queue.Kick();
        Assert.Equal(InterruptSource.Queue(0), transport.WaitForInterrupt([InterruptSource.Queue(0)], Patience));
        Assert.True(queue.TryGet(out ushort used, out uint length));
        Assert.Equal((id, (uint)room.Length), (used, length));
        Assert.Contains(room.Span.ToArray(), b => b != 0);
    }
}
