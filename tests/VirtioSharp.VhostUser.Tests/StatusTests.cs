using VirtioSharp.Core.Errors;
using VirtioSharp.Linux;
using VirtioSharp.Testing;
using VirtioSharp.VhostUser.BackEnd;
using VirtioSharp.VhostUser.Protocol;
using VirtioSharp.VhostUser.Tests.Support;
using Xunit;

namespace VirtioSharp.VhostUser.Tests;

/// <summary>The device status field, and how a device that is broken comes to serve again.</summary>
public sealed class StatusTests : IDisposable
{
    private const ulong NeedsReset = 64;

    private readonly MoodyDevice _device = new();
    private readonly ServedDevice _served;
    private readonly GuestRam _ram = new();
    private readonly GuestRing _ring;
    private readonly GuestRing _other;
    private readonly FrontEnd _frontEnd;

    public StatusTests()
    {
        _served = new ServedDevice(_device);
        (_ring, _other) = (new GuestRing(_ram), new GuestRing(_ram, GuestRing.Extent, index: 1));
        _frontEnd = _served.Connect();
        _frontEnd.Start(_ram, _ring);
    }

    public void Dispose()
    {
        _frontEnd.Dispose();
        _served.Dispose();
        _ring.Dispose();
        _other.Dispose();
        _ram.Dispose();
    }

    [Fact]
    [Proves("STATUS", "vhost-user")]
    public void The_status_is_read_as_it_was_written()
    {
        Assert.Equal(0UL, _frontEnd.AskU64(FrontEndRequest.GetStatus));

        _frontEnd.Do(FrontEndRequest.SetStatus, Wire.U64(0xF));

        Assert.Equal(0xFUL, _frontEnd.AskU64(FrontEndRequest.GetStatus));
        Assert.Equal(1u, _ring.Serve());
    }

    [Fact]
    [Proves("STATUS", "vhost-user")]
    [Proves("Hostile driver", "vhost-user")]
    public void A_broken_ring_shows_as_NEEDS_RESET_until_the_driver_is_gone()
    {
        _frontEnd.Do(FrontEndRequest.SetStatus, Wire.U64(0xF));
        Break("avail.idx jumped from 0 to 300, further than the 256 entries of the queue");

        Assert.Equal(0xF | NeedsReset, _frontEnd.AskU64(FrontEndRequest.GetStatus));
        _frontEnd.StopRing(_ring);
        Assert.Equal(0xFUL, _frontEnd.AskU64(FrontEndRequest.GetStatus));

        _ring.Restart();
        _frontEnd.StartRing(_ring);
        Assert.Equal(1u, _ring.Serve());
        _frontEnd.Dispose();
        SessionReport report = _served.NextReport();
        Assert.Equal(1, report.Faults["NeedsReset"]);
        Assert.Equal(2, report.RingStarts);
    }

    [Fact]
    [Proves("STATUS", "vhost-user")]
    public void A_driver_that_writes_status_0_starts_from_the_beginning()
    {
        Break("avail.idx jumped from 0 to 300, further than the 256 entries of the queue");

        _frontEnd.Do(FrontEndRequest.SetStatus, Wire.U64(0));

        Assert.Equal(0UL, _frontEnd.AskU64(FrontEndRequest.GetStatus));
        _ring.Restart();
        _frontEnd.SetFeatures(Wire.ProtocolFeatures | Wire.Version1);
        _frontEnd.StartRing(_ring);
        Assert.Equal(1u, _ring.Serve());
    }

    [Fact]
    public void A_device_that_fails_stops_its_queues_and_serves_again_after_a_reset()
    {
        _frontEnd.StartRing(_other);
        Assert.Equal(1u, _ring.Serve());
        _device.Mood = new InvalidOperationException("the device's own mistake");
        _ring.OfferBuffer();
        _ring.Kick.Signal();

        Assert.True(Readiness.WaitReadable(_other.Error.Descriptor, Patience.Limit));
        Assert.Equal(NeedsReset, _frontEnd.AskU64(FrontEndRequest.GetStatus));
        Assert.Equal(1, _served.Log.Count("the device needs a reset: queue 0: the device's own mistake"));
        _frontEnd.StopRing(_ring);
        _frontEnd.StopRing(_other);
        _ring.Restart();
        _other.Restart();
        _frontEnd.StartRing(_ring);
        _frontEnd.StartRing(_other);
        Assert.Equal(1u, _ring.Serve());
        Assert.Equal(1u, _other.Serve());
    }

    [Fact]
    public void A_machine_that_is_stopped_after_a_failure_does_not_get_old_requests_served_again()
    {
        _frontEnd.StartRing(_other);
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(1u, _ring.Serve());
            Assert.Equal(1u, _other.Serve());
        }

        _device.Mood = new InvalidOperationException("the device's own mistake");
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        Assert.True(Readiness.WaitReadable(_other.Error.Descriptor, Patience.Limit));

        Assert.True(_frontEnd.StopRing(_ring) >= 5);
        Assert.Equal(5u, _frontEnd.StopRing(_other));
    }

    [Fact]
    [Proves("Hostile driver", "vhost-user")]
    public void A_server_that_polls_finds_a_broken_ring_too()
    {
        using var polling = new ServedDevice(options: new VhostUserOptions { BusyPoll = TimeSpan.FromMicroseconds(200) });
        using FrontEnd frontEnd = polling.Connect();
        using var ram = new GuestRam();
        using var ring = new GuestRing(ram);
        frontEnd.Start(ram, ring);
        ring.AssertServes();
        ring.AvailableIndex = 999;
        ring.Kick.Signal();

        Assert.True(Readiness.WaitReadable(ring.Error.Descriptor, Patience.Limit));
        Assert.Equal(NeedsReset, frontEnd.AskU64(FrontEndRequest.GetStatus));
        Assert.Equal(1u, frontEnd.StopRing(ring));
        ring.Restart();
        frontEnd.StartRing(ring);
        ring.AssertServes();
    }

    [Theory]
    [InlineData(FrontEndRequest.ResetDevice)]
    [InlineData(FrontEndRequest.ResetOwner)]
    [Proves("RESET_DEVICE", "vhost-user")]
    public void A_reset_stops_the_rings_and_the_device_starts_again(FrontEndRequest reset)
    {
        Assert.Equal(1u, _ring.Serve());
        int resets = _device.Resets;

        _frontEnd.Do(reset);
        _frontEnd.Do(reset); // QEMU sends it twice

        Assert.Equal(resets + 2, _device.Resets);
        _ring.OfferBuffer();
        _ring.Kick.Signal();
        _frontEnd.Barrier();
        Assert.Equal(1, _ring.UsedIndex);
        Assert.Equal(0UL, _frontEnd.AskU64(FrontEndRequest.GetStatus));

        _ring.Restart();
        _frontEnd.SetFeatures(FrontEnd.ModernFeatures);
        _frontEnd.Send(FrontEndRequest.SetVringNum, Wire.State(0, 256));
        _frontEnd.Send(FrontEndRequest.SetVringBase, Wire.State(0, 0));
        _frontEnd.Send(FrontEndRequest.SetVringAddr, _ring.AddressPayload);
        _frontEnd.SendKick(_ring);
        Assert.Equal(0UL, _frontEnd.Enable(_ring));
        Assert.Equal(1u, _ring.Serve()); // the call descriptor is still there
    }

    [Fact]
    [Proves("Hostile driver", "vhost-user")]
    public void A_request_that_the_device_rejects_is_answered_with_length_0()
    {
        _device.Mood = new ChainException("type = 77 is unknown");
        for (int i = 0; i < 1000; i++)
            Assert.Equal(0u, _ring.Serve());
        _device.Mood = null;

        Assert.Equal(1u, _ring.Serve());
        Assert.StartsWith("queue 0: type = 77 is unknown;", Assert.Single(_served.Log.Warnings), StringComparison.Ordinal);
        _frontEnd.Dispose();
        Assert.Equal(1000, _served.NextReport().Faults["Rejected"]);
    }

    private void Break(string reason)
    {
        _ring.AvailableIndex = 300;
        _ring.Kick.Signal();
        Assert.True(Readiness.WaitReadable(_ring.Error.Descriptor, Patience.Limit), "nobody signals the error descriptor");
        _ring.Error.TryDrain(out _);
        Assert.Equal($"the device needs a reset: queue 0: {reason}", Assert.Single(_served.Log.Errors));
    }
}
