using System.Runtime.InteropServices;
using VirtioSharp.Core.Device;
using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Devices.Block;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Block;
using VirtioSharp.Transports.Loopback;
using Xunit;

namespace VirtioSharp.Devices.Tests.Support;

/// <summary>What came back of a request: the used length, and all that the device could write.</summary>
internal sealed record Answered(uint Length, byte[] Room)
{
    public byte Status => Room[^1];

    public byte[] Data => Room[..^1];
}

/// <summary>A block device with every byte of its requests in the test's hand.</summary>
internal sealed class BlockPanel : IDisposable
{
    public const byte Untouched = 0xEE;

    private readonly Dictionary<ushort, DmaBuffer[]> _rooms = [];

    public BlockPanel(BlockDevice device, bool packed = false, FeatureSet? accepted = null)
    {
        FeatureSet wanted = accepted ?? device.Traits.Features;
        Transport = new LoopbackTransport(device, new DeviceHostOptions
        {
            RingFeatures = packed ? DeviceHostOptions.AllRingFeatures - Features.InOrder : DeviceHostOptions.AllRingFeatures - Features.RingPacked - Features.InOrder,
        });
        Session = DriverSession.Open(Transport, DeviceId.Block, wanted);
        Session.EnableQueues([.. Enumerable.Range(0, device.Traits.Queues.Count).Select(i => new QueueRequest(i, "request", 64))]);
        Session.Start();
    }

    public LoopbackTransport Transport { get; }

    public DriverSession Session { get; }

    public static byte[] Header(BlockRequestType type, ulong sector = 0) => Raw(new BlockRequestHeader(type, sector));

    public static byte[] Range(ulong sector, uint count, uint flags = 0) => Raw(new BlockRange(sector, count, flags));

    /// <summary>Cuts bytes into pieces of these lengths; what is left is a last piece.</summary>
    public static byte[][] Cut(byte[] bytes, params int[] lengths)
    {
        var pieces = new List<byte[]>();
        int at = 0;
        foreach (int length in lengths)
            pieces.Add(bytes[at..(at = Math.Min(at + length, bytes.Length))]);
        if (at < bytes.Length)
            pieces.Add(bytes[at..]);
        return [.. pieces];
    }

    /// <summary>Sends a request and takes its answer, which must be there.</summary>
    public Answered Ask(byte[][] readable, int[] writable, int queue = 0)
    {
        ushort id = Send(readable, writable, queue);
        (ushort used, Answered answer) = Take(queue) ?? throw new InvalidOperationException("the device has not answered");
        Assert.Equal(id, used);
        return answer;
    }

    public byte Status(byte[][] readable, params int[] writable) => Ask(readable, writable).Status;

    public ushort Send(byte[][] readable, int[] writable, int queue = 0)
    {
        DmaBuffer[] room = [.. writable.Select(Room)];
        Assert.True(Session.Queue(queue).TryAdd([.. readable.Select(Filled)], room, out ushort id));
        Session.Queue(queue).Kick();
        _rooms[id] = room;
        return id;
    }

    public (ushort Id, Answered Answer)? Take(int queue = 0)
    {
        if (!Session.Queue(queue).TryGet(out ushort id, out uint length))
            return null;
        return (id, new Answered(length, [.. _rooms[id].SelectMany(buffer => buffer.Span.ToArray())]));
    }

    public void Dispose()
    {
        Session.Dispose();
        Transport.Dispose();
    }

    private static byte[] Raw<T>(T value)
        where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();

    private DmaBuffer Filled(byte[] bytes)
    {
        if (bytes.Length == 0)
            return Transport.Dma.Allocate(1, 1).Slice(0, 0);
        DmaBuffer buffer = Transport.Dma.Allocate(bytes.Length, 1);
        bytes.CopyTo(buffer.Span);
        return buffer;
    }

    private DmaBuffer Room(int length)
    {
        if (length == 0)
            return Transport.Dma.Allocate(1, 1).Slice(0, 0);
        DmaBuffer buffer = Transport.Dma.Allocate(length, 1);
        buffer.Span.Fill(Untouched);
        return buffer;
    }
}
