using VirtioSharp.Core.Errors;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>Registers that now and then read anything, and writes that are lost.</summary>
public sealed class GarbageWindowTests
{
    [Theory]
    [InlineData(MmioVersion.Current)]
    [InlineData(MmioVersion.Legacy)]
    [Proves("Hostile device", "in-process MMIO")]
    public void A_driver_reads_bytes_or_gives_up_with_an_error_that_has_a_name(MmioVersion version)
    {
        int worked = 0, gaveUp = 0;
        for (int seed = 0; seed < 400; seed++)
        {
            using var machine = new SoftwareMmio(new RngDevice(), new MmioFunctionOptions { Version = version });
            var random = new Random(seed);
            int rarity = 2 + seed % 50;
            var window = new RewrittenWindow(machine)
            {
                OnRead = (_, honest) => random.Next(rarity) == 0 ? Garbage(random) : honest,
                OnWrite = (register, _) => register == MmioRegister.Status || random.Next(rarity) != 0,
            };
            try
            {
                using MmioTransport transport = MmioTransport.Open(window, machine, machine.Dma);
                using var driver = new RngDriver(transport);
                driver.Read(new byte[1000], TimeSpan.FromMilliseconds(1));
                worked++;
            }
            catch (Exception expected) when (expected is TransportException or QueueException)
            {
                gaveUp++;
            }
        }

        Assert.True(worked > 10 && gaveUp > 100, $"{worked} worked, {gaveUp} gave up: too uniform to be a test");
    }

    private static uint Garbage(Random random) => random.Next(5) switch
    {
        0 => 0,
        1 => uint.MaxValue,
        2 => (uint)random.Next(256),
        _ => (uint)random.NextInt64(),
    };
}
