using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Split;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Device;

/// <summary>What a device throws takes down a chain or the device, and never the host's loop.</summary>
public sealed class FailingDeviceTests : IDisposable
{
    private readonly HostileDriver _driver = new();

    public FailingDeviceTests() => _driver.Ring[0] = new Descriptor(_driver.Good.Address.Value, 16, DescriptorFlags.Write, 0);

    public void Dispose() => _driver.Dispose();

    [Fact]
    public void A_request_that_the_device_rejects_is_completed_with_length_zero_and_the_devices_words()
    {
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.Write([1, 2, 3]);
            throw new ChainException("type = 77 is unknown");
        };

        Assert.Equal(0u, _driver.Send(0).Length);

        Assert.Equal(new ChainFault(ChainFaultKind.Rejected, 0, "type = 77 is unknown"), Assert.Single(_driver.Observer.Faults));
        Assert.Equal(1ul, _driver.Host.Statistics(0).FaultyChains);
        _driver.AssertServes();
    }

    [Fact]
    public void Rejected_requests_and_good_ones_are_served_in_one_batch()
    {
        _driver.Device.Answer = (device, scoped ref chain) =>
        {
            if (device.Chains % 2 == 0)
                throw new ChainException("every other one");
            chain.Write([1]);
        };
        for (int i = 0; i < 8; i++)
            _driver.Ring.Offer(0);

        _driver.Kick();

        Assert.Equal(8, _driver.Ring.UsedIndex);
        Assert.Equal([1u, 0u, 1u, 0u, 1u, 0u, 1u, 0u], Enumerable.Range(0, 8).Select(i => _driver.Ring.Used((ushort)i).Length));
        Assert.Equal(1, _driver.Line.UsedBuffers);
        Assert.Equal(4, _driver.Observer.Faults.Count);
    }

    [Fact]
    public void A_request_that_is_too_short_is_rejected_by_reading_it()
    {
        _driver.Device.Answer = (_, scoped ref chain) => chain.ReadExactly(new byte[1]);

        Assert.Equal(0u, _driver.Send(0).Length);

        Assert.Equal("the readable part of the request ends 1 bytes too early", Assert.Single(_driver.Observer.Faults).ToString());
        _driver.AssertServes();
    }

    [Fact]
    public void An_answer_that_does_not_fit_is_rejected_by_writing_it()
    {
        _driver.Device.Answer = (_, scoped ref chain) => chain.Write(new byte[20]);

        Assert.Equal(0u, _driver.Send(0).Length);

        Assert.Equal("the writable part of the request ends 4 bytes too early", Assert.Single(_driver.Observer.Faults).ToString());
        _driver.AssertServes();
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void Any_other_exception_stops_the_device()
    {
        _driver.Device.Answer = (_, scoped ref _) => throw new NotSupportedException("the device has a bug");
        _driver.Offer(0);

        _driver.Kick();

        Assert.Equal(0, _driver.Ring.UsedIndex);
        _driver.AssertStoppedUntilReset("the device has a bug");
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_says_it_is_broken_stops()
    {
        _driver.Device.Answer = (_, scoped ref _) => throw new DeviceException("the backing file is gone");
        _driver.Offer(0);

        _driver.Kick();

        _driver.AssertStoppedUntilReset("the backing file is gone");
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_claims_to_have_written_more_than_there_is_room_for_stops()
    {
        _driver.Device.Answer = (_, scoped ref chain) => chain.Advance(17);
        _driver.Offer(0);

        _driver.Kick();

        Assert.Equal(DeviceStatus.NeedsReset, _driver.Host.Status & DeviceStatus.NeedsReset);
        Assert.IsType<ArgumentOutOfRangeException>(Assert.Single(_driver.Observer.Resets));
        _driver.Start();
        _driver.AssertServes();
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_cannot_start_needs_a_reset_and_says_so()
    {
        bool failing = true;
        _driver.Device.Start = () =>
        {
            if (failing)
                throw new DeviceException("nothing to start with");
        };

        _driver.Start();
        failing = false;

        _driver.AssertStoppedUntilReset("nothing to start with");
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_fails_in_its_reset_needs_another()
    {
        bool failing = true;
        _driver.Device.Restart = () =>
        {
            if (failing)
                throw new DeviceException("cannot let go");
        };

        _driver.Host.WriteStatus(DeviceStatus.Reset);
        Assert.Equal(DeviceStatus.NeedsReset, _driver.Host.Status);
        Assert.Equal("cannot let go", Assert.Single(_driver.Observer.Resets).Message);
        failing = false;
        _driver.Start();

        _driver.AssertServes();
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_fails_in_its_configuration_space_stops()
    {
        byte[] bytes = new byte[4];
        _driver.Device.Configuration = () => throw new DeviceException("no such page");

        _driver.Host.ReadConfiguration(0, bytes);

        _driver.AssertStoppedUntilReset("no such page");
        Assert.True(_driver.Host.WriteConfiguration(0, bytes));
        Assert.Equal(2, _driver.Observer.Resets.Count);
    }

    [Fact]
    public void A_postponed_chain_is_the_first_to_be_served_when_the_device_is_woken()
    {
        _driver.Device.Answer = (device, scoped ref chain) =>
        {
            device.Services.WakeAfter(TimeSpan.FromSeconds(3));
            chain.Postpone();
        };
        _driver.Offer(0);

        _driver.Kick();
        Assert.Equal(0, _driver.Ring.UsedIndex);
        Assert.Equal(TimeSpan.FromSeconds(3), _driver.Line.Alarm);
        Assert.Equal(new QueueSnapshot(0), _driver.Host.DisableQueue(0));
        _driver.Host.EnableQueue(0, _driver.Ring.Layout);
        _driver.Device.Answer = null;
        _driver.Host.Wake();

        Assert.Equal(1, _driver.Ring.UsedIndex);
        Assert.Equal(16u, _driver.Ring.Used(0).Length);
        Assert.Equal(1ul, _driver.Host.Statistics(0).Postponed);
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_chain_that_was_written_to_cannot_be_postponed()
    {
        _driver.Device.Answer = (_, scoped ref chain) =>
        {
            chain.Write([1]);
            chain.Postpone();
        };
        _driver.Offer(0);

        _driver.Kick();

        _driver.AssertStoppedUntilReset("1 bytes of the chain are written: it can be completed, not postponed");
    }

    [Fact]
    public void More_chains_than_one_turn_allows_are_served_in_the_next_ones()
    {
        using var driver = new HostileDriver(size: 256);
        driver.Ring[0] = new Descriptor(driver.Good.Address.Value, 1, DescriptorFlags.Write, 0);
        for (int i = 0; i < 256; i++)
            driver.Ring.Offer(0);

        Assert.True(driver.Host.Notify(0));
        driver.Ring.Offer(0);
        Assert.False(driver.Host.Service(0));

        Assert.Equal(257, driver.Ring.UsedIndex);
        Assert.Equal(257ul, driver.Host.Statistics(0).Chains);
    }
}
