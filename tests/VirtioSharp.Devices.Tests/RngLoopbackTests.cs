using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Devices.Tests;

public sealed class RngLoopbackTests
{
    [Fact]
    public void Two_thousand_five_hundred_bytes_are_read_in_buffers_of_sixty_four()
    {
        using var transport = new LoopbackTransport(new RngDevice());
        using var driver = new RngDriver(transport, bufferSize: 64);
        byte[] bytes = new byte[2500];

        Assert.Equal(2500, driver.Read(bytes, TimeSpan.FromSeconds(10)));

        Assert.True(bytes.Distinct().Count() > 200);
        Assert.Equal(32, driver.EarlyRandomness.Length);
        Assert.InRange(transport.Host.Statistics(0).Chains, 2500UL / 64, 2600UL / 64 + 2);
    }
}
