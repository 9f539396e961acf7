using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>The whole way over version 1.</summary>
public sealed class LegacyEntropyTests : IDisposable
{
    private const string InProcess = "in-process MMIO, legacy";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly SoftwareMmio _machine = new(new RngDevice(), new MmioFunctionOptions { Version = MmioVersion.Legacy });

    public void Dispose() => _machine.Dispose();

    [Fact]
    [Proves("Entropy device", InProcess)]
    [Proves("Entropy driver", InProcess)]
    [Proves("Legacy ring layout", InProcess)]
    public void The_driver_reads_bytes_through_registers_session_after_session()
    {
        for (int i = 0; i < 3; i++)
        {
            using MmioTransport transport = _machine.Open();
            using var driver = new RngDriver(transport);
            byte[] bytes = new byte[10_000];

            Assert.Equal(bytes.Length, driver.Read(bytes, Patience));

            Assert.True(bytes.Distinct().Count() > 200);
        }
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [Proves("Split ring", InProcess)]
    [Proves("EVENT_IDX", InProcess)]
    [Proves("INDIRECT_DESC", InProcess)]
    [Proves("Feature negotiation", InProcess)]
    public void Bytes_come_with_every_combination_of_legacy_features(bool indirect, bool eventIdx)
    {
        FeatureSet withheld = (indirect ? default : Features.IndirectDesc) | (eventIdx ? default : Features.EventIdx);
        using MmioTransport transport = _machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy, withheld: withheld);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        DmaBuffer[] buffers = [.. Enumerable.Range(1, 5).Select(i => transport.Dma.Allocate(i * 100))];

        for (int i = 0; i < 100; i++)
        {
            Assert.True(queue.TryAdd([], buffers, out ushort id));
            queue.Kick();
            Assert.True(queue.Wait(Patience, out ushort used, out uint length));
            Assert.Equal((id, 1500u), (used, length));
        }

        Assert.Equal(session.NegotiatedFeatures, _machine.Function.Host.DriverFeatures);
        Assert.Equal((indirect, eventIdx, false), (session.NegotiatedFeatures.Has(Features.IndirectDesc), session.NegotiatedFeatures.Has(Features.EventIdx), session.NegotiatedFeatures.Has(Features.Version1)));
        Assert.Equal(1024, queue.Layout.Size);
    }

    [Fact]
    public void A_driver_that_notifies_before_DRIVER_OK_is_served()
    {
        using MmioTransport transport = _machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        Assert.True(queue.TryAdd([], [transport.Dma.Allocate(16)], out _));

        queue.Kick();

        Assert.True(queue.Wait(Patience, out _, out uint length));
        Assert.Equal(16u, length);
        session.Start();
        Assert.False(session.NeedsReset);
    }
}
