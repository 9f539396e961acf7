using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Block;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Testing;
using Xunit;
using static VirtioSharp.Devices.Tests.Support.BlockPanel;

namespace VirtioSharp.Devices.Tests.Block;

/// <summary>A back-end that takes its time: requests wait, end in any order, and never outlive their queue.</summary>
[Proves("Block device", "in process")]
public sealed class BlockLaterTests : IDisposable
{
    private readonly TestDisk _disk = new(8 * 512) { Holds = true };
    private readonly BlockPanel _panel;

    public BlockLaterTests()
    {
        new Random(1).NextBytes(_disk.Bytes);
        _panel = new BlockPanel(new BlockDevice(_disk, new BlockDeviceOptions { QueueCount = 2 }));
    }

    public void Dispose() => _panel.Dispose();

    [Fact]
    public void Requests_end_in_the_order_in_which_the_back_end_ends_them()
    {
        ushort first = _panel.Send([Header(BlockRequestType.In, 1)], [512, 1]);
        ushort second = _panel.Send([Header(BlockRequestType.In, 2)], [513]);
        Assert.Null(_panel.Take());

        _disk.Complete(1);
        _panel.Transport.Host.Flush();
        (ushort id, Answered answer) = _panel.Take()!.Value;

        Assert.Equal((second, 513u, (byte)0), (id, answer.Length, answer.Status));
        Assert.Equal(_disk.Bytes[1024..1536], answer.Data);
        Assert.Null(_panel.Take());
        _disk.Complete(0);
        _panel.Transport.Host.Flush();
        (id, answer) = _panel.Take()!.Value;
        Assert.Equal((first, (byte)0), (id, answer.Status));
        Assert.Equal(_disk.Bytes[512..1024], answer.Data);
    }

    [Fact]
    public void A_request_of_several_ranges_goes_on_whenever_one_is_done()
    {
        _panel.Send([Header(BlockRequestType.WriteZeroes), Range(0, 1), Range(2, 1), Range(4, 1)], [1]);
        _disk.Complete(0);
        _disk.Complete(0);
        Assert.Null(_panel.Take());
        _disk.Complete(0);
        _panel.Transport.Host.Flush();

        Assert.Equal((byte)0, _panel.Take()!.Value.Answer.Status);
        Assert.Equal([0L, 1024L, 2048L], _disk.Operations.Select(operation => operation.Offset));
    }

    [Fact]
    public void The_last_range_may_end_at_once_where_the_first_did_not()
    {
        _panel.Send([Header(BlockRequestType.WriteZeroes), Range(0, 1), Range(2, 1)], [1]);
        _disk.Holds = false;
        _disk.Complete(0);
        _panel.Transport.Host.Flush();

        Assert.Equal((byte)0, _panel.Take()!.Value.Answer.Status);
    }

    [Fact]
    public void An_error_comes_later_too()
    {
        _panel.Send([Header(BlockRequestType.In, 1)], [512, 1]);
        _disk.Refusal = _ => BlockStatus.IoError;
        _disk.Complete(0);
        _panel.Transport.Host.Flush();

        Answered answer = _panel.Take()!.Value.Answer;
        Assert.Equal((513u, (byte)1), (answer.Length, answer.Status));
    }

    [Fact]
    public void A_reset_waits_until_the_back_end_has_let_go_of_the_drivers_memory()
    {
        _panel.Send([Header(BlockRequestType.In, 1)], [512, 1]);
        _panel.Send([Header(BlockRequestType.In, 2)], [512, 1], queue: 1);

        _panel.Transport.WriteStatus(DeviceStatus.Reset);

        Assert.Empty(_disk.Held);
        Assert.Equal(2, _disk.Finishes);
    }

    [Fact]
    public void When_one_queue_stops_the_others_requests_stay()
    {
        _panel.Send([Header(BlockRequestType.In, 1)], [512, 1]);
        ushort other = _panel.Send([Header(BlockRequestType.In, 2)], [512, 1], queue: 1);

        DriverQueue fresh = _panel.Session.ResetQueue(_panel.Session.Queue(0));
        Assert.Single(_disk.Held);
        _disk.Complete(0);
        _panel.Transport.Host.Flush();

        (ushort id, Answered answer) = _panel.Take(queue: 1)!.Value;
        Assert.Equal((other, (byte)0), (id, answer.Status));
        Assert.False(fresh.TryGet(out _, out _));
    }
}
