using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Devices.Tests;

public sealed class RngAllocationTests
{
    private const int Chains = 10_000;
    private const int BufferSize = 64;

    [Fact]
    [Proves("No allocation per request", "loopback")]
    public void Neither_end_allocates_anything_for_ten_thousand_requests()
    {
        using var transport = new LoopbackTransport(new RngDevice());
        using var driver = new RngDriver(transport, BufferSize);
        byte[] bytes = new byte[Chains * BufferSize];
        driver.Read(bytes.AsSpan(0, 1000 * BufferSize), TimeSpan.FromSeconds(30));
        ulong chains = transport.Host.Statistics(0).Chains;

        long before = GC.GetAllocatedBytesForCurrentThread();
        int read = driver.Read(bytes, TimeSpan.FromSeconds(30));
        long after = GC.GetAllocatedBytesForCurrentThread();

        Assert.Equal(0, after - before);
        Assert.Equal(bytes.Length, read);
        Assert.Equal((ulong)Chains, transport.Host.Statistics(0).Chains - chains);
    }
}
