using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Devices.Tests.Support.BlockPanel;

namespace VirtioSharp.Devices.Tests.Block;

/// <summary>§2.6.4 leaves the framing to the driver: wherever it cuts, a request means the same.</summary>
[Proves("Block device", "in process")]
public sealed class BlockFramingTests
{
    public static TheoryData<int[], int[], bool> Reads
    {
        get
        {
            var reads = new TheoryData<int[], int[], bool>();
            int[][] headers = [[16], [1, 15], [4, 4, 8], [0, 16, 0], [.. Enumerable.Repeat(1, 16)]];
            int[][] rooms = [[1024, 1], [1025], [512, 512, 1], [1023, 2], [1, 1024], [0, 1024, 0, 1, 0], [700, 325], [.. Enumerable.Repeat(41, 25)]];
            foreach (bool packed in (bool[])[false, true])
                foreach (int[] header in headers)
                    foreach (int[] room in rooms)
                        reads.Add(header, room, packed);
            return reads;
        }
    }

    [Theory]
    [MemberData(nameof(Reads))]
    public void A_read_is_the_same_however_it_is_cut(int[] header, int[] room, bool packed)
    {
        var disk = new TestDisk(4096);
        new Random(1).NextBytes(disk.Bytes);
        using var panel = new BlockPanel(new BlockDevice(disk), packed);

        Answered answer = panel.Ask(Cut(Header(BlockRequestType.In, 3), header), room);

        Assert.Equal((1025u, (byte)0), (answer.Length, answer.Status));
        Assert.Equal(disk.Bytes[1536..2560], answer.Data);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_write_is_the_same_however_it_is_cut(bool packed)
    {
        var disk = new TestDisk(4096);
        using var panel = new BlockPanel(new BlockDevice(disk), packed);
        var random = new Random(2);
        for (int round = 0; round < 50; round++)
        {
            byte[] data = new byte[1024];
            random.NextBytes(data);
            byte[] whole = [.. Header(BlockRequestType.Out, 2), .. data];
            int[] cuts = [.. Enumerable.Range(0, random.Next(1, 20)).Select(_ => random.Next(0, 60))];

            Answered answer = panel.Ask(Cut(whole, cuts), [1]);

            Assert.Equal((1u, (byte)0), (answer.Length, answer.Status));
            Assert.Equal(data, disk.Bytes[1024..2048]);
        }
    }

    [Fact]
    public void The_status_of_a_write_is_the_last_byte_of_however_much_room()
    {
        using var panel = new BlockPanel(new BlockDevice(new TestDisk(4096)));

        Answered answer = panel.Ask([Header(BlockRequestType.Out), new byte[512]], [10, 20]);

        Assert.Equal((30u, (byte)0), (answer.Length, answer.Status));
        Assert.Equal(Enumerable.Repeat(Untouched, 29), answer.Data);
    }

    [Fact]
    public void A_range_may_be_cut_anywhere()
    {
        var disk = new TestDisk(4096);
        using var panel = new BlockPanel(new BlockDevice(disk));
        byte[] whole = [.. Header(BlockRequestType.WriteZeroes), .. Range(1, 2), .. Range(4, 1, 1)];

        Assert.Equal((byte)0, panel.Status(Cut(whole, 3, 20, 1, 7), 1));
        Assert.Equal([(512L, 1024L), (2048L, 512L)], disk.Operations.Select(operation => (operation.Offset, operation.Length)));
    }

    [Fact]
    public void A_request_of_very_many_pieces_is_served()
    {
        var disk = new TestDisk(64 * 512);
        new Random(1).NextBytes(disk.Bytes);
        using var panel = new BlockPanel(new BlockDevice(disk)); // 64 entries: more needs an indirect table

        Answered answer = panel.Ask([Header(BlockRequestType.In)], [.. Enumerable.Repeat(512, 60), 1]);

        Assert.Equal(disk.Bytes[..(60 * 512)], answer.Data);
        Assert.Equal(60, disk.Operations[0].Buffers);
        Assert.True(panel.Session.NegotiatedFeatures.Has(Features.IndirectDesc));
    }
}
