using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Driver.Bus;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Core.Tests.Support;
using VirtioSharp.Spec;
using VirtioSharp.Testing;
using Xunit;

namespace VirtioSharp.Core.Tests.Driver;

/// <summary>Devices come and go, sleep and wake while others run.</summary>
public sealed class HotPlugTests : IDisposable
{
    private readonly VirtioBus _bus = new();
    private readonly RegisterTransport _first = new(), _second = new();
    private readonly RecordingDriver _driver = new("block", DeviceMatch.Any);
    private readonly BusDevice _device, _other;

    public HotPlugTests()
    {
        _bus.Register(_driver);
        _device = _bus.Add(_first);
        _other = _bus.Add(_second);
        _driver.Journal.Clear();
    }

    public void Dispose()
    {
        _bus.Dispose();
        _first.Dispose();
        _second.Dispose();
    }

    [Fact]
    [Proves("Hot plug", "in process")]
    public void A_device_that_is_removed_is_taken_from_its_driver_and_then_reset()
    {
        _driver.Removing = () => Assert.Equal(0xF, (int)_first.ReadStatus());

        _bus.Remove(_device);

        Assert.Equal(["remove"], _driver.Journal);
        Assert.Equal("status 0", _first.Journal[^1]);
        Assert.True(_first.IsDisposed);
        Assert.Equal([_other], _bus.Devices);
        Assert.Equal(0xF, (int)_second.ReadStatus());
        Assert.Throws<ArgumentException>(() => _bus.Remove(_device));
    }

    [Fact]
    [Proves("Hot plug", "in process")]
    public void A_device_that_is_pulled_out_is_noticed_and_not_waited_for()
    {
        DriverSession session = _device.Session!;
        DriverQueue queue = session.Queue(0);
        _first.Unplug();

        Assert.Equal(1, _bus.RemoveGone());

        Assert.Equal(["lost"], _driver.Journal);
        Assert.Equal([_other], _bus.Devices);
        Assert.Equal("the device has been unplugged", Assert.Throws<QueueException>(() => queue.TryGet(out _, out _)).Message);
        Assert.Equal("the device has been unplugged", session.Broken);
    }

    [Fact]
    [Proves("Hot plug", "in process")]
    public void A_driver_that_waits_learns_that_its_device_was_pulled_out()
    {
        _first.Unplug();
        _first.Pending.Add(InterruptSource.Configuration);

        var failure = Assert.Throws<DeviceException>(() => _device.Session!.Wait(TimeSpan.FromSeconds(1)));

        Assert.Equal("device status reads 0xff: the device has been unplugged", failure.Message);
    }

    [Fact]
    public void A_driver_that_fails_to_let_go_loses_the_device_all_the_same()
    {
        _driver.Removing = () => throw new InvalidOperationException("mine");

        _bus.Remove(_device);

        Assert.Equal("status 0", _first.Journal[^1]);
        Assert.True(_first.IsDisposed);
        _driver.Removing = null;
    }

    [Fact]
    public void A_device_that_is_not_there_when_it_comes_is_kept_without_a_driver()
    {
        using var gone = new RegisterTransport();
        gone.Unplug();

        BusDevice device = _bus.Add(gone, "ghost");

        Assert.Equal((null, true, "ghost"), (device.Driver, device.IsGone, device.Name));
        Assert.Equal("device status reads 0xff: the device has been unplugged", device.LastFailure!.Message);
        Assert.Empty(_driver.Journal);
    }

    [Fact]
    [Proves("Freeze and restore", "in process")]
    public void All_devices_sleep_and_wake()
    {
        Assert.Empty(_bus.Freeze());
        Assert.Equal((true, true), (_device.IsFrozen, _other.IsFrozen));
        Assert.Equal((DeviceStatus.Reset, DeviceStatus.Reset), (_first.ReadStatus(), _second.ReadStatus()));
        Assert.Empty(_bus.Freeze());

        Assert.Empty(_bus.Restore());
        Assert.Empty(_bus.Restore());

        Assert.Equal(["freeze", "freeze", "restore", "restore"], _driver.Journal);
        Assert.Equal((0xF, 0xF), ((int)_first.ReadStatus(), (int)_second.ReadStatus()));
        Assert.Single(_first.Enabled);
    }

    [Fact]
    [Proves("Freeze and restore", "in process")]
    public void A_device_that_has_become_another_one_meanwhile_is_given_up_and_the_others_go_on()
    {
        _bus.Freeze();
        _first.QueueSizes = [2];

        Assert.Equal([_device], _bus.Restore());

        Assert.Equal("queue 0 had 8 entries before the reset, and now its size reads 2", _device.LastFailure!.Message);
        Assert.Equal(_device.LastFailure.Message, _device.Session!.Broken);
        Assert.True(_first.ReadStatus().HasFlag(DeviceStatus.Failed));
        Assert.Equal(0xF, (int)_second.ReadStatus());
    }

    [Fact]
    public void A_driver_that_cannot_freeze_does_not_keep_the_others_awake_and_its_device_is_restored_too()
    {
        int calls = 0;
        _driver.Freezing = () =>
        {
            if (++calls == 1)
                throw new DeviceException("busy");
        };

        Assert.Equal([_other], _bus.Freeze());
        Assert.Equal((true, "busy"), (_device.IsFrozen, _other.Session!.Broken));

        Assert.Empty(_bus.Restore());
        Assert.Null(_other.Session.Broken);
        Assert.Equal((0xF, 0xF), ((int)_first.ReadStatus(), (int)_second.ReadStatus()));
    }

    [Fact]
    [Proves("NEEDS_RESET", "in process")]
    public void A_device_that_needs_a_reset_is_restored_while_the_others_go_on()
    {
        _second.Journal.Clear();
        _device.Session!.Break("device status reads NeedsReset");

        Assert.Empty(_bus.Restore());

        Assert.Null(_device.Session.Broken);
        Assert.Equal(["restore"], _driver.Journal);
        Assert.Empty(_second.Journal);
    }
}
