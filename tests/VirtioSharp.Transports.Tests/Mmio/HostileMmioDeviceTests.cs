using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Errors;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Drivers.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>Windows that lie to the driver half, break off, or never answer as they should.</summary>
[Proves("Hostile device", "in-process MMIO")]
public sealed class HostileMmioDeviceTests : IDisposable
{
    private readonly SoftwareMmio _machine = new(new RngDevice());
    private readonly RewrittenWindow _window;

    public HostileMmioDeviceTests() => _window = new RewrittenWindow(_machine);

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void A_placeholder_is_no_fault_but_no_device_either_and_nothing_else_is_touched()
    {
        List<int> read = [];
        _window.OnRead = (register, honest) =>
        {
            read.Add(register);
            return register == MmioRegister.DeviceId ? 0 : honest;
        };

        Assert.Throws<NoDeviceException>(Open);

        Assert.Equal([MmioRegister.MagicValue, MmioRegister.Version, MmioRegister.DeviceId], read);
        Assert.Empty(_window.Written);
    }

    [Theory]
    [InlineData(MmioRegister.MagicValue, 0u, "magic = 0x00000000 is not")]
    [InlineData(MmioRegister.MagicValue, 0xFFFF_FFFFu, "magic = 0xffffffff is not")]
    [InlineData(MmioRegister.Version, 0u, "version = 0 is neither")]
    [InlineData(MmioRegister.Version, 3u, "version = 3 is neither")]
    [InlineData(MmioRegister.DeviceId, 0xFFFF_FFFFu, "device id = 0xffffffff")]
    public void A_window_that_is_none_of_ours_is_refused(int register, uint value, string message)
    {
        Lie(register, value);

        Assert.StartsWith(message, Assert.Throws<TransportException>(Open).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_window_too_small_for_the_registers_is_refused() =>
        Assert.Throws<TransportException>(() => MmioTransport.Open(new RewrittenWindow { Length = 0xFF }, _machine, _machine.Dma));

    [Fact]
    public void A_status_that_never_clears_ends_the_session()
    {
        using MmioTransport transport = Open();
        Lie(MmioRegister.Status, 4);

        Assert.Equal("device status still reads DriverOk after a reset", Assert.Throws<TransportException>(() => new RngDriver(transport)).Message);
    }

    [Fact]
    public void FEATURES_OK_withheld_ends_the_session()
    {
        using MmioTransport transport = Open();
        _window.OnRead = (register, honest) => register == MmioRegister.Status ? honest & ~8u : honest;

        Assert.StartsWith("the device refused the features", Assert.Throws<TransportException>(() => new RngDriver(transport)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_was_unplugged_ends_whatever_is_going_on()
    {
        using MmioTransport transport = Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        Assert.True(queue.TryAdd([], [transport.Dma.Allocate(16)], out _));
        queue.Kick();

        _window.OnRead = (_, _) => uint.MaxValue;
        _window.OnWrite = (_, _) => false;

        Assert.Contains("unplugged", Assert.Throws<TransportException>(() => transport.WaitForInterrupt([InterruptSource.Queue(0)], TimeSpan.FromSeconds(30))).Message, StringComparison.Ordinal);
        Assert.Throws<TransportException>(() => transport.ReadMaxQueueSize(0));
        Assert.Throws<TransportException>(() => transport.ResetQueue(0));
        Assert.Throws<TransportException>(() => transport.EnableQueue(0, default));
        Assert.Throws<TransportException>(() => new RngDriver(transport));
    }

    [Theory]
    [InlineData(0u, "queue 0 does not exist: its size reads 0")]
    [InlineData(32769u, "queue 0: its size reads 32769, more than any queue has")]
    [InlineData(0x8000_0000u, "queue 0: its size reads 2147483648, more than any queue has")]
    [InlineData(0xFFFF_FFFFu, "queue 0: its size reads 4294967295, more than any queue has")]
    public void Queue_sizes_that_cannot_be_are_refused(uint size, string message)
    {
        using MmioTransport transport = Open();
        Lie(MmioRegister.QueueSizeMax, size);

        Assert.Equal(message, Assert.Throws<QueueException>(() => new RngDriver(transport)).Message);
        Assert.Equal(128u, _machine.Read(MmioRegister.Status, 4) & 128); // FAILED
    }

    [Fact]
    public void Queues_without_end_are_counted_to_a_limit()
    {
        using MmioTransport transport = Open();
        Lie(MmioRegister.QueueSizeMax, 16);

        Assert.Equal(1024, transport.QueueCount);
    }

    [Theory]
    [InlineData(0u)] // refused
    [InlineData(3u)]
    public void A_queue_that_does_not_read_back_ready_is_not_used(uint taken)
    {
        using MmioTransport transport = Open();
        bool written = false;
        _window.OnWrite = (register, _) => !(written |= register == MmioRegister.QueueReady);
        _window.OnRead = (register, honest) => register == MmioRegister.QueueReady && written ? taken : honest;

        Assert.StartsWith("the device refuses queue 0", Assert.Throws<QueueException>(() => new RngDriver(transport)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_queue_that_is_in_use_after_a_reset_is_not_touched()
    {
        using MmioTransport transport = Open();
        Lie(MmioRegister.QueueReady, 1);

        Assert.StartsWith("queue 0 is in use already", Assert.Throws<QueueException>(() => new RngDriver(transport)).Message, StringComparison.Ordinal);
        Assert.DoesNotContain(_window.Written, write => write.Register == MmioRegister.QueueDescriptorArea);
    }

    [Theory]
    [InlineData(MmioRegister.QueueReset, "queue 0 is still being reset")]
    [InlineData(MmioRegister.QueueReady, "queue 0 was reset, the device says, but its QueueReady reads 1")]
    public void A_queue_reset_that_does_not_come_to_an_end_is_given_up(int register, string message)
    {
        using MmioTransport transport = Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        Lie(register, 1);

        Assert.Equal(message, Assert.Throws<TransportException>(() => session.ResetQueue(queue)).Message);
    }

    [Fact]
    public void A_line_that_is_stuck_without_a_reason_costs_the_time_that_was_given_and_no_more()
    {
        using MmioTransport transport = MmioTransport.Open(_window, new StuckLine(), _machine.Dma);
        long start = TimeProvider.System.GetTimestamp();

        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Queue(0)], TimeSpan.FromMilliseconds(50)));

        Assert.InRange(TimeProvider.System.GetElapsedTime(start), TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(20));
    }

    [Fact]
    public void Undefined_bits_of_InterruptStatus_are_ignored_and_not_acknowledged()
    {
        using MmioTransport transport = Open();
        using var driver = new RngDriver(transport);
        _window.OnRead = (register, honest) => register == MmioRegister.InterruptStatus ? honest | 0xFFFF_FFFC : honest;

        Assert.Equal(1000, driver.Read(new byte[1000], TimeSpan.FromSeconds(30)));

        Assert.DoesNotContain(_window.Written, write => write.Register == MmioRegister.InterruptAcknowledge && write.Value > 3);
    }

    [Fact]
    public void A_device_with_64_feature_bits_that_takes_any_selection_for_1_is_understood()
    {
        // As QEMU does it.
        _window.OnWrite = (register, value) =>
        {
            if (register is not (MmioRegister.DeviceFeaturesSelect or MmioRegister.DriverFeaturesSelect))
                return true;
            _machine.Write((ulong)register, 4, Math.Min(value, 1));
            return false;
        };
        using MmioTransport transport = Open();
        Assert.Equal(_machine.Function.Host.DeviceFeatures, transport.ReadDeviceFeatures());

        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);

        Assert.Equal(session.NegotiatedFeatures, _machine.Function.Host.DriverFeatures);
        Assert.True(session.NegotiatedFeatures.Has(Features.Version1));
    }

    private MmioTransport Open() => MmioTransport.Open(_window, _machine, _machine.Dma);

    private void Lie(int about, uint value) => _window.OnRead = (register, honest) => register == about ? value : honest;

    private sealed class StuckLine : IInterruptLine
    {
        public bool IsRaised => true;

        public bool Wait(TimeSpan timeout) => true;
    }
}
