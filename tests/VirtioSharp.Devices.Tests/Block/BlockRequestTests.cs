using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Devices.Tests.Support.BlockPanel;

namespace VirtioSharp.Devices.Tests.Block;

/// <summary>Each kind of request, as §5.2.6 has it.</summary>
[Proves("Block device", "in process")]
public sealed class BlockRequestTests : IDisposable
{
    private const byte Ok = 0, IoError = 1, Unsupported = 2;
    private const int Sectors = 64;

    private readonly TestDisk _disk = new(Sectors * 512);
    private BlockPanel? _panel;

    public BlockRequestTests() => new Random(3).NextBytes(_disk.Bytes);

    private BlockPanel Panel => _panel ??= new BlockPanel(new BlockDevice(_disk, new BlockDeviceOptions { Serial = "twenty characters...", QueueCount = 2 }));

    public void Dispose() => _panel?.Dispose();

    [Fact]
    public void A_read_gets_the_sectors_and_its_length_counts_the_status()
    {
        Answered answer = Panel.Ask([Header(BlockRequestType.In, 5)], [1024, 1]);

        Assert.Equal((1025u, Ok), (answer.Length, answer.Status));
        Assert.Equal(_disk.Bytes[(5 * 512)..(7 * 512)], answer.Data);
    }

    [Fact]
    public void A_write_changes_the_sectors_and_no_others()
    {
        byte[] expected = [.. _disk.Bytes], data = [.. Enumerable.Range(0, 1536).Select(i => (byte)i)];
        data.CopyTo(expected, 61 * 512);

        Answered answer = Panel.Ask([Header(BlockRequestType.Out, 61), data], [1]);

        Assert.Equal((1u, Ok), (answer.Length, answer.Status));
        Assert.Equal(expected, _disk.Bytes);
    }

    [Theory]
    [InlineData(BlockRequestType.In)]
    [InlineData(BlockRequestType.Out)]
    public void Nothing_to_read_or_write_is_done_at_once(BlockRequestType type)
    {
        Assert.Equal(Ok, Panel.Status([Header(type, 64)], 1));
        Assert.Empty(_disk.Operations);
    }

    [Fact]
    public void A_flush_is_handed_on()
    {
        Assert.Equal(Ok, Panel.Status([Header(BlockRequestType.Flush)], 1));
        Assert.Equal([new Asked(BlockOperationKind.Flush, 0, 0, 0, 0, false, false)], _disk.Operations);
    }

    [Theory]
    [InlineData(20, "twenty characters...")]
    [InlineData(8, "twenty c")]
    [InlineData(0, "")]
    public void The_id_is_told_as_far_as_there_is_room(int room, string id)
    {
        Answered answer = Panel.Ask([Header(BlockRequestType.GetId)], [room, 1]);

        Assert.Equal(Ok, answer.Status);
        Assert.Equal(id, System.Text.Encoding.ASCII.GetString(answer.Data));
    }

    [Fact]
    public void A_short_id_is_padded_with_NUL_and_room_behind_it_stays()
    {
        using var panel = new BlockPanel(new BlockDevice(_disk, new BlockDeviceOptions { Serial = "disk" }));

        Answered answer = panel.Ask([Header(BlockRequestType.GetId)], [30, 1]);

        Assert.Equal([.. "disk"u8, .. new byte[16], .. Enumerable.Repeat(Untouched, 10)], answer.Data);
        Assert.Equal((31u, Ok), (answer.Length, answer.Status));
    }

    [Fact]
    public void A_discard_is_handed_on_range_by_range()
    {
        Assert.Equal(Ok, Panel.Status([Header(BlockRequestType.Discard), Range(1, 2), Range(8, 0), Range(60, 4)], 1));
        Assert.Equal(
            [new Asked(BlockOperationKind.Discard, 0, 512, 1024, 0, false, false), new Asked(BlockOperationKind.Discard, 0, 60 * 512, 2048, 0, false, false)],
            _disk.Operations);
    }

    [Theory]
    [InlineData(0u, false)]
    [InlineData(1u, true)]
    public void Zeroes_may_be_unmapped_only_if_the_driver_says_so(uint flags, bool unmap)
    {
        Assert.Equal(Ok, Panel.Status([Header(BlockRequestType.WriteZeroes), Range(3, 5, flags)], 1));
        Assert.Equal([new Asked(BlockOperationKind.WriteZeroes, 0, 3 * 512, 5 * 512, 0, false, unmap)], _disk.Operations);
        Assert.Equal(new byte[5 * 512], _disk.Bytes[(3 * 512)..(8 * 512)]);
    }

    [Theory]
    [InlineData(BlockRequestType.Discard, 1u)]
    [InlineData(BlockRequestType.Discard, 2u)]
    [InlineData(BlockRequestType.WriteZeroes, 2u)]
    [InlineData(BlockRequestType.WriteZeroes, 0x80000001u)]
    public void A_flag_that_does_not_belong_there_is_unsupported_and_nothing_is_done(BlockRequestType type, uint flags)
    {
        Assert.Equal(Unsupported, Panel.Status([Header(type), Range(0, 1), Range(0, 1, flags)], 1));
        Assert.Empty(_disk.Operations);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(15)]
    [InlineData(17)]
    [InlineData(17 * 16)]
    public void Ranges_that_are_none_half_or_too_many_fail(int bytes)
    {
        Assert.Equal(IoError, Panel.Status([Header(BlockRequestType.Discard), new byte[bytes]], 1));
        Assert.Empty(_disk.Operations);
    }

    [Fact]
    public void When_one_range_fails_the_request_has_and_later_ones_are_left_alone()
    {
        _disk.Refusal = operation => operation.Offset == 512 ? BlockStatus.IoError : null;

        Assert.Equal(IoError, Panel.Status([Header(BlockRequestType.WriteZeroes), Range(0, 1), Range(1, 1), Range(2, 1)], 1));
        Assert.Equal([0L, 512L], _disk.Operations.Select(operation => operation.Offset));
    }

    [Theory]
    [InlineData(BlockRequestType.SecureErase)]
    [InlineData(BlockRequestType.GetLifetime)]
    [InlineData((BlockRequestType)2)] // SCSI commands of old
    [InlineData((BlockRequestType)15)] // zones
    [InlineData((BlockRequestType)0xFFFF_FFFF)]
    public void What_is_not_offered_is_unsupported(BlockRequestType type)
    {
        Answered answer = Panel.Ask([Header(type), Range(0, 1)], [24, 1]);

        Assert.Equal((25u, Unsupported), (answer.Length, answer.Status));
        Assert.Equal(Enumerable.Repeat(Untouched, 24), answer.Data);
        Assert.Empty(_disk.Operations);
    }

    [Fact]
    public void An_error_of_the_back_end_is_the_requests_and_the_next_is_served()
    {
        _disk.Refusal = operation => operation.Kind == BlockOperationKind.Read ? BlockStatus.IoError : null;

        Assert.Equal(IoError, Panel.Status([Header(BlockRequestType.In)], 512, 1));
        Assert.Equal(Ok, Panel.Status([Header(BlockRequestType.Out), new byte[512]], 1));
        Assert.Equal(DeviceStatus.DriverOk, Panel.Transport.Host.Status & (DeviceStatus.DriverOk | DeviceStatus.NeedsReset));
    }

    [Fact]
    public void A_read_only_device_refuses_every_change_and_reads_on()
    {
        byte[] before = [.. _disk.Bytes];
        using var panel = new BlockPanel(new BlockDevice(_disk, new BlockDeviceOptions { IsReadOnly = true }));

        Assert.True(panel.Session.NegotiatedFeatures.Has(BlockFeatures.ReadOnly));
        Assert.Equal(IoError, panel.Status([Header(BlockRequestType.Out), new byte[512]], 1));
        Assert.Equal(Unsupported, panel.Status([Header(BlockRequestType.Discard), Range(0, 1)], 1));
        Assert.Equal(Unsupported, panel.Status([Header(BlockRequestType.WriteZeroes), Range(0, 1)], 1));
        Assert.Equal(Ok, panel.Status([Header(BlockRequestType.Flush)], 1));
        Assert.Equal(before[..512], panel.Ask([Header(BlockRequestType.In)], [512, 1]).Data);
        Assert.Equal(before, _disk.Bytes);
    }

    [Fact]
    public void Operations_know_their_queue()
    {
        Panel.Ask([Header(BlockRequestType.Flush)], [1], queue: 1);

        Assert.Equal(1, Assert.Single(_disk.Operations).Queue);
    }

    [Theory]
    [InlineData(true, true, true)]   // a driver that could flush, and whose cache is writeback
    [InlineData(true, false, true)]
    [InlineData(false, false, false)] // nothing negotiated: nobody would flush
    public void A_write_waits_for_a_flush_only_if_the_driver_knows_of_it(bool flush, bool configurable, bool isVolatile)
    {
        FeatureSet accepted = (flush ? BlockFeatures.Flush : Features.None) | (configurable ? BlockFeatures.ConfigWriteback : Features.None);
        using var panel = new BlockPanel(new BlockDevice(_disk), accepted: accepted);

        panel.Ask([Header(BlockRequestType.Out), new byte[512]], [1]);
        panel.Ask([Header(BlockRequestType.WriteZeroes), Range(0, 1)], [1]);

        Assert.All(_disk.Operations, operation => Assert.Equal(isVolatile, !operation.Stable));
    }
}
