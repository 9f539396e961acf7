using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec;
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
