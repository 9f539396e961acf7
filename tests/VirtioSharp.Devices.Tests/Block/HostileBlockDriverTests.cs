using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Devices.Tests.Support.BlockPanel;

namespace VirtioSharp.Devices.Tests.Block;

/// <summary>Requests that lie: none reaches beyond the disk, none costs the device its life.</summary>
[Proves("Hostile driver", "in process")]
public sealed class HostileBlockDriverTests : IDisposable
{
    private const byte IoError = 1;
    private const int Sectors = 8;

    private readonly TestDisk _disk = new(Sectors * 512);
    private readonly BlockPanel _panel;

    public HostileBlockDriverTests() => _panel = new BlockPanel(new BlockDevice(_disk));

    public void Dispose() => _panel.Dispose();

    [Theory]
    [InlineData(8ul, 1)]
    [InlineData(7ul, 2)]
    [InlineData(0ul, 9)]
    [InlineData(ulong.MaxValue, 1)]
    [InlineData(ulong.MaxValue, 2)]
    [InlineData(ulong.MaxValue - 7, 16)]
    [InlineData(1ul << 55, 1)] // times 512 it is 2^64
    [InlineData((1ul << 55) + 1, 1)]
    public void What_ends_beyond_the_disk_fails_also_when_it_wraps(ulong sector, int sectors)
    {
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.In, sector)], sectors * 512, 1));
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.Out, sector), new byte[sectors * 512]], 1));
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.Discard), Range(sector, (uint)sectors)], 1));
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.WriteZeroes), Range(sector, (uint)sectors)], 1));
        Assert.Empty(_disk.Operations);
        AssertAlive();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(511)]
    [InlineData(513)]
    public void What_is_no_whole_number_of_sectors_fails(int bytes)
    {
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.In)], bytes, 1));
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.Out), new byte[bytes]], 1));
        Assert.Empty(_disk.Operations);
        AssertAlive();
    }

    [Theory]
    [InlineData(0ul, uint.MaxValue)]
    [InlineData(ulong.MaxValue, uint.MaxValue)]
    [InlineData(0ul, (1u << 23) + 1)]
    public void A_range_longer_than_was_said_fails(ulong sector, uint count)
    {
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.Discard), Range(sector, count)], 1));
        Assert.Equal(IoError, _panel.Status([Header(BlockRequestType.WriteZeroes), Range(sector, count)], 1));
        Assert.Empty(_disk.Operations);
        AssertAlive();
    }

    [Fact]
    public void A_request_without_a_whole_header_is_used_with_length_0()
    {
        Assert.Equal((0u, Untouched), Ends([], [1]));
        Assert.Equal((0u, Untouched), Ends([new byte[15]], [512, 1]));
        AssertAlive();
    }

    [Fact]
    public void A_request_without_room_for_a_status_is_used_with_length_0_and_not_done()
    {
        Answered answer = _panel.Ask([Header(BlockRequestType.Out), new byte[512]], []);

        Assert.Equal(0u, answer.Length);
        Assert.Equal(0u, _panel.Ask([Header(BlockRequestType.In)], [0]).Length);
        Assert.Empty(_disk.Operations);
        Assert.Equal(2ul, _panel.Transport.Host.Statistics(0).FaultyChains);
        AssertAlive();
    }

    [Fact]
    public void Any_request_at_all_is_answered_and_leaves_the_device_alive()
    {
        var random = new Random(11);
        for (int round = 0; round < 2000; round++)
        {
            var type = (BlockRequestType)(random.Next(4) == 0 ? random.Next() : random.Next(16));
            ulong sector = random.Next(3) == 0 ? (ulong)random.NextInt64() << random.Next(2) : (ulong)random.Next(Sectors + 2);
            byte[] more = new byte[random.Next(5) * random.Next(3) * 16];
            random.NextBytes(more);
            byte[] whole = [.. Header(type, sector), .. more];

            Answered answer = _panel.Ask(Cut(whole[..^random.Next(random.Next(4) == 0 ? 16 : 1)], random.Next(8), random.Next(8)), [random.Next(1200)]);

            Assert.True(answer.Length == 0 || answer.Length == answer.Room.Length);
        }

        Assert.NotEmpty(_disk.Operations);
        Assert.All(_disk.Operations, operation => Assert.InRange(operation.Offset + operation.Length, 0, Sectors * 512));
        AssertAlive();
    }

    private (uint Length, byte Status) Ends(byte[][] readable, int[] writable)
    {
        Answered answer = _panel.Ask(readable, writable);
        return (answer.Length, answer.Status);
    }

    private void AssertAlive()
    {
        Assert.Equal((byte)0, _panel.Status([Header(BlockRequestType.GetId)], 20, 1));
        Assert.Equal(DeviceStatus.Reset, _panel.Transport.Host.Status & DeviceStatus.NeedsReset);
    }
}
