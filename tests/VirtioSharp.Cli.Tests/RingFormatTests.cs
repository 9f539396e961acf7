using VirtioSharp.Cli.Tests.Support;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Linux;
using VirtioSharp.Spec;

namespace VirtioSharp.Cli.Tests;

/// <summary>Our driver and the real daemon, over every kind of ring that both know.</summary>
public sealed class RingFormatTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public static TheoryData<FeatureSet> Hidden =>
    [
        Features.None,
        Features.InOrder,
        Features.EventIdx,
        Features.IndirectDesc,
        Features.RingPacked,
        Features.RingPacked | Features.InOrder,
        Features.RingPacked | Features.InOrder | Features.EventIdx | Features.IndirectDesc,
    ];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [MemberData(nameof(Hidden), DisableDiscoveryEnumeration = true)]
    [Proves("Packed ring", "vhost-user")]
    [Proves("Split ring", "vhost-user")]
    [Proves("IN_ORDER", "vhost-user")]
    [Proves("Entropy driver", "vhost-user")]
    public async Task Two_drivers_one_after_the_other_read_every_byte_of_the_source(FeatureSet hidden)
    {
        byte[] source = new byte[64 * 1024];
        new Random(7).NextBytes(source);
        await File.WriteAllBytesAsync(_directory["source"], source, TestContext.Current.CancellationToken);
        await using VioProcess vio = await VioProcess.ServeRngAsync(_directory["sock"], "--rng-source", _directory["source"]);
        using var transport = new VhostUserTransport(UnixSocket.Connect(_directory["sock"])) { Hidden = hidden };
        var read = new List<byte>();

        for (int session = 0; session < 2; session++)
        {
            using var driver = new RngDriver(transport, bufferSize: 64);
            byte[] bytes = new byte[20_000]; // 313 buffers: a ring of 256 goes round
            Assert.Equal(bytes.Length, driver.Read(bytes, TimeSpan.FromSeconds(30)));
            read.AddRange(driver.EarlyRandomness.Span);
            read.AddRange(bytes);
        }

        // What was on its way when the first driver left is lost, at most a buffer and its rest.
        Assert.Equal(source[..20_000], read[..20_000]);
        int gap = source.AsSpan().IndexOf(read.ToArray().AsSpan(^20_000)) - (read.Count - 20_000);
        Assert.InRange(gap, 0, 128);
    }
}
