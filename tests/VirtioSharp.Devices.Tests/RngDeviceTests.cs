using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Devices.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Devices.Tests;

[Proves("Entropy device", "in process")]
public sealed class RngDeviceTests : IDisposable
{
    private ClockworkTransport? _transport;
    private DriverQueue? _queue;
    private byte _next;
    private int _supply = int.MaxValue;
    private int _largestRequest;

    private ClockworkTransport Transport => _transport!;

    private DriverQueue Queue => _queue!;

    public void Dispose() => _transport?.Dispose();

    [Fact]
    public void It_is_device_4_with_one_queue_and_nothing_else()
    {
        var traits = new RngDevice().Traits;

        Assert.Equal(DeviceId.Entropy, traits.Id);
        Assert.Equal(["request"], traits.Queues.Select(queue => queue.Name));
        Assert.True(traits.Features.IsEmpty);
        Assert.Equal(0, traits.ConfigurationSize);
    }

    [Fact]
    public void All_writable_buffers_of_a_request_are_filled_in_order()
    {
        Use(new RngDevice(Supply));
        DmaBuffer first = Buffer(3), second = Buffer(5);

        Assert.Equal(8u, Ask([], [first, second]));

        Assert.Equal([1, 2, 3], first.Span.ToArray());
        Assert.Equal([4, 5, 6, 7, 8], second.Span.ToArray());
    }

    [Fact]
    public void The_systems_generator_is_used_when_no_source_is_given()
    {
        Use(new RngDevice());
        DmaBuffer buffer = Buffer(4096);

        Assert.Equal(4096u, Ask([], [buffer]));

        Assert.True(buffer.Span.ToArray().Distinct().Count() > 200);
    }

    [Fact]
    [Proves("Hostile driver", "in process")]
    public void A_request_without_room_is_completed_with_length_zero_and_the_next_is_served()
    {
        Use(new RngDevice(Supply));

        Assert.Equal(0u, Ask([Buffer(16)], []));
        Assert.Equal(0u, Ask([], [Buffer(16).Slice(0, 0)]));

        Assert.Null(Transport.Alarm);
        Assert.Equal(16u, Ask([], [Buffer(16)]));
    }

    [Fact]
    public void What_a_driver_wants_read_is_passed_over()
    {
        Use(new RngDevice(Supply));

        Assert.Equal(4u, Ask([Buffer(16)], [Buffer(4)]));
    }

    [Fact]
    public void A_request_gets_64_KiB_at_the_most()
    {
        Use(new RngDevice(Supply));
        DmaBuffer first = Buffer(40_000), second = Buffer(40_000);

        Assert.Equal((uint)RngDevice.MaxBytesPerRequest, Ask([], [first, second]));

        Assert.Equal(65_536, RngDevice.MaxBytesPerRequest);
        Assert.Equal(0, second.Span[RngDevice.MaxBytesPerRequest - 40_000]);
    }

    [Fact]
    public void A_source_that_has_less_gives_less()
    {
        Use(new RngDevice(Supply));
        _supply = 5;
        DmaBuffer first = Buffer(3), second = Buffer(16);

        Assert.Equal(5u, Ask([], [first, second]));

        Assert.Equal([4, 5, 0], second.Span[..3].ToArray());
    }

    [Fact]
    public void A_request_waits_while_the_source_has_nothing_and_is_served_when_it_has()
    {
        Use(new RngDevice(Supply));
        _supply = 0;

        Assert.Null(Ask([], [Buffer(16)]));
        Transport.Advance(TimeSpan.FromSeconds(10));
        Assert.False(Queue.TryGet(out _, out _));
        _supply = 7;
        Transport.Advance(TimeSpan.FromSeconds(1));

        Assert.True(Queue.TryGet(out _, out uint length));
        Assert.Equal(7u, length);
        Assert.Null(Transport.Alarm);
    }

    [Fact]
    public void Requests_that_waited_are_served_in_their_order()
    {
        Use(new RngDevice(Supply));
        _supply = 0;
        Assert.True(Queue.TryAdd([], [Buffer(1)], out ushort first));
        Assert.True(Queue.TryAdd([], [Buffer(2)], out ushort second));
        Queue.Kick();

        _supply = 100;
        Transport.Advance(TimeSpan.FromSeconds(1));

        Assert.True(Queue.TryGet(out ushort id, out uint length));
        Assert.Equal((first, 1u), (id, length));
        Assert.True(Queue.TryGet(out id, out length));
        Assert.Equal((second, 2u), (id, length));
    }

    [Fact]
    [Proves("Rate limit", "in process")]
    public void A_request_beyond_the_limit_waits_until_the_period_is_over()
    {
        Use(new RngDevice(Supply, new RateLimit(100, TimeSpan.FromSeconds(1))));
        Assert.Equal(64u, Ask([], [Buffer(64)]));
        Transport.Advance(TimeSpan.FromMilliseconds(250));
        Assert.Equal(36u, Ask([], [Buffer(64)]));

        Assert.Null(Ask([], [Buffer(64)]));
        Assert.Equal(TimeSpan.FromMilliseconds(750), Transport.Alarm);
        Transport.Advance(TimeSpan.FromMilliseconds(749));
        Assert.False(Queue.TryGet(out _, out _));
        Transport.Advance(TimeSpan.FromMilliseconds(1));

        Assert.True(Queue.TryGet(out _, out uint length));
        Assert.Equal(64u, length);
        Assert.Equal(1ul, Transport.Host.Statistics(0).Postponed);
    }

    [Fact]
    [Proves("Rate limit", "in process")]
    public void Kicks_do_not_hurry_a_limited_device()
    {
        Use(new RngDevice(Supply, new RateLimit(64, TimeSpan.FromSeconds(1))));
        Assert.Equal(64u, Ask([], [Buffer(64)]));

        for (int i = 0; i < 10; i++)
        {
            Assert.Null(Ask([], [Buffer(64)]));
            Transport.Notify(new QueueNotification(0, 0));
            Transport.Advance(TimeSpan.FromMilliseconds(50));
        }

        Assert.False(Queue.TryGet(out _, out _));
        Assert.Equal(64ul, Transport.Host.Statistics(0).BytesWritten);
    }

    [Fact]
    [Proves("Rate limit", "in process")]
    public void The_source_is_not_asked_for_more_than_the_limit_allows()
    {
        Use(new RngDevice(Supply, new RateLimit(10, TimeSpan.FromSeconds(1))));

        Assert.Equal(10u, Ask([], [Buffer(64)]));

        Assert.Equal(10, _largestRequest);
    }

    [Fact]
    [Proves("Rate limit", "in process")]
    public void A_reset_drops_the_wait_but_not_the_limit()
    {
        Use(new RngDevice(Supply, new RateLimit(64, TimeSpan.FromSeconds(1))));
        Assert.Equal(64u, Ask([], [Buffer(64)]));
        Assert.Null(Ask([], [Buffer(64)]));
        ulong chains = Transport.Host.Statistics(0).Chains;

        StartSession();
        Transport.Advance(TimeSpan.FromMilliseconds(999));
        Assert.Null(Ask([], [Buffer(32)]));
        Transport.Advance(TimeSpan.FromMilliseconds(1));

        Assert.True(Queue.TryGet(out _, out uint length));
        Assert.Equal(32u, length);
        Assert.Equal(chains + 1, Transport.Host.Statistics(0).Chains);
    }

    [Fact]
    public void An_alarm_after_a_reset_touches_nothing()
    {
        Use(new RngDevice(Supply, new RateLimit(64, TimeSpan.FromSeconds(1))));
        Assert.Equal(64u, Ask([], [Buffer(64)]));
        DmaBuffer waiting = Buffer(64);
        Assert.Null(Ask([], [waiting]));

        Transport.WriteStatus(DeviceStatus.Reset);
        Transport.Advance(TimeSpan.FromSeconds(2));

        Assert.Equal(new byte[64], waiting.Span.ToArray());
        Assert.Equal(1ul, Transport.Host.Statistics(0).Chains);
        Assert.Equal(DeviceStatus.Reset, Transport.ReadStatus());
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_source_that_claims_more_than_there_was_room_for_stops_the_device()
    {
        Use(new RngDevice(room => room.Length + 1));

        Assert.Null(Ask([], [Buffer(16)]));

        Assert.Equal(DeviceStatus.NeedsReset, Transport.ReadStatus() & DeviceStatus.NeedsReset);
    }

    private void Use(RngDevice device)
    {
        _transport = new ClockworkTransport(device);
        StartSession();
    }

    private void StartSession()
    {
        DriverSession session = DriverSession.Open(Transport, DeviceId.Entropy);
        _queue = session.EnableQueue(0);
        session.Start();
    }

    private DmaBuffer Buffer(int length) => Transport.Dma.Allocate(length);

    /// <summary>Sends one request. Its length, or null while it waits.</summary>
    private uint? Ask(ReadOnlySpan<DmaBuffer> readable, ReadOnlySpan<DmaBuffer> writable)
    {
        Assert.True(Queue.TryAdd(readable, writable, out ushort id));
        Queue.Kick();
        if (!Queue.TryGet(out ushort used, out uint length))
            return null;
        Assert.Equal(id, used);
        return length;
    }

    private int Supply(Span<byte> destination)
    {
        _largestRequest = Math.Max(_largestRequest, destination.Length);
        int given = Math.Min(destination.Length, _supply);
        for (int i = 0; i < given; i++)
            destination[i] = ++_next;
        if (_supply != int.MaxValue)
            _supply -= given;
        return given;
    }
}
