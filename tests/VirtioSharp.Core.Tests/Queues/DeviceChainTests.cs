using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec.Split;
using Xunit;
using static VirtioSharp.Spec.DescriptorFlags;

namespace VirtioSharp.Core.Tests.Queues;

/// <summary>A request reads the same however the driver cut its buffers (§2.6.4).</summary>
public sealed class DeviceChainTests : IDisposable
{
    private readonly HostileDriver _driver = new();

    public DeviceChainTests()
    {
        ulong good = _driver.Good.Address.Value;
        for (int i = 0; i < 8; i++)
            _driver.Good.Span[i] = (byte)i;
        _driver.Ring[0] = new Descriptor(good, 3, Next, 1);
        _driver.Ring[1] = new Descriptor(good + 3, 5, Next, 2);
        _driver.Ring[2] = new Descriptor(good + 32, 2, Write | Next, 3);
        _driver.Ring[3] = new Descriptor(good + 34, 6, Write, 0);
    }

    public void Dispose() => _driver.Dispose();

    [Fact]
    public void Reading_goes_over_the_borders_of_buffers()
    {
        byte[] head = new byte[2], middle = new byte[4];
        uint left = 0, beyond = 0;
        byte[] rest = [];
        _driver.Device.Answer = (device, scoped ref chain) =>
        {
            chain.ReadExactly(head);
            chain.ReadExactly(middle);
            left = chain.ReadableLeft;
            chain.TryNextReadable(out ReadOnlySpan<byte> bytes);
            rest = bytes.ToArray();
            beyond = chain.ReadableLeft;
            Assert.False(chain.TryNextReadable(out _));
        };

        Assert.Equal(0u, _driver.Send(0).Length);

        Assert.Equal([0, 1], head);
        Assert.Equal([2, 3, 4, 5], middle);
        Assert.Equal([6, 7], rest);
        Assert.Equal((2u, 0u), (left, beyond));
        Assert.Empty(_driver.Observer.Resets);
    }

    [Fact]
    public void Writing_goes_over_the_borders_of_buffers()
    {
        uint before = 0, after = 0, written = 0;
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            before = chain.WritableLeft;
            chain.Write([11, 12, 13]);
            chain.Write([14]);
            (after, written) = (chain.WritableLeft, chain.Written);
        };

        Assert.Equal(4u, _driver.Send(0).Length);

        Assert.Equal([11, 12, 13, 14, 0], _driver.Good.Span[32..37].ToArray());
        Assert.Equal((8u, 4u, 4u), (before, after, written));
    }

    [Fact]
    public void Room_stays_the_next_until_it_was_advanced_over()
    {
        int first = 0, again = 0, rest = 0, second = 0;
        _driver.Device.Answer = (device, scoped ref chain) =>
        {
            first = NextRoom(ref chain);
            again = NextRoom(ref chain);
            chain.Advance(0);
            chain.Advance(1);
            rest = NextRoom(ref chain);
            chain.Advance(1);
            second = NextRoom(ref chain);
            chain.Advance(6);
            Assert.False(chain.TryNextWritable(out _));
        };

        Assert.Equal(8u, _driver.Send(0).Length);

        Assert.Equal((2, 2, 1, 6), (first, again, rest, second));
        Assert.Empty(_driver.Observer.Resets);
    }

    private static int NextRoom(scoped ref DeviceChain chain) => chain.TryNextWritable(out Span<byte> room) ? room.Length : -1;
}
