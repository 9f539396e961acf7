using VirtioSharp.Core.Driver;
using VirtioSharp.Core.Memory;
using VirtioSharp.Core.Queues;
using VirtioSharp.Devices.Rng;
using VirtioSharp.Spec;
using VirtioSharp.Spec.Mmio;
using VirtioSharp.Testing;
using VirtioSharp.Transports.Mmio;
using Xunit;

namespace VirtioSharp.Transports.Tests.Mmio;

/// <summary>The line, InterruptStatus and InterruptACK at both ends; and the ways around the registers.</summary>
[Proves("Line interrupt", "in-process MMIO")]
public sealed class InterruptTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public void The_line_rises_with_the_first_event_and_falls_with_the_last_acknowledgement()
    {
        using var panel = new Panel();
        List<bool> levels = [];
        panel.Machine.Function.LineChanged = levels.Add;

        panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer);
        panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer);
        panel.Machine.Function.RaiseInterrupt(InterruptStatus.ConfigurationChange);
        Assert.Equal(3u, panel[MmioRegister.InterruptStatus]);
        Assert.Equal([true], levels);

        panel[MmioRegister.InterruptAcknowledge] = 1;
        Assert.Equal(2u, panel[MmioRegister.InterruptStatus]);
        Assert.Equal([true], levels);
        panel[MmioRegister.InterruptAcknowledge] = 3;

        Assert.Equal(0u, panel[MmioRegister.InterruptStatus]);
        Assert.Equal([true, false], levels);
    }

    [Fact]
    public void A_call_out_may_acknowledge_at_once()
    {
        using var panel = new Panel();
        List<bool> levels = [];
        panel.Machine.Function.LineChanged = level =>
        {
            levels.Add(level);
            panel[MmioRegister.InterruptAcknowledge] = 1;
        };

        panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer);
        panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer);

        Assert.Equal([true, false, true, false], levels);
    }

    [Fact]
    public void The_last_call_out_says_what_holds_whoever_raises_and_acknowledges()
    {
        using var panel = new Panel();
        bool level = false;
        int calls = 0, overlapping = 0, inside = 0;
        panel.Machine.Function.LineChanged = now =>
        {
            overlapping += Interlocked.Increment(ref inside) - 1;
            calls += now != level ? 1 : 100_000_000; // a level is never told twice
            level = now;
            Interlocked.Decrement(ref inside);
        };

        for (int round = 0; round < 20; round++)
        {
            var raising = new Thread(() =>
            {
                for (int i = 0; i < 10_000; i++)
                    panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer);
            });
            raising.Start();
            for (int i = 0; i < 10_000; i++)
                panel.Machine.Function.Write(MmioRegister.InterruptAcknowledge, 4, 1);
            raising.Join();

            Assert.Equal(panel.Machine.Function.IsInterruptRaised, level);
        }

        Assert.InRange(calls, 1, 400_001);
        Assert.Equal(0, overlapping);
    }

    [Fact]
    public void One_used_buffer_notification_is_one_for_every_queue()
    {
        using var panel = new Panel();
        using MmioTransport transport = panel.Machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Console);
        session.EnableQueue(0);
        session.EnableQueue(1);
        session.Start();
        panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer | InterruptStatus.ConfigurationChange);

        Assert.Equal(InterruptSource.Queue(1), transport.WaitForInterrupt([InterruptSource.Queue(1)], Patience));
        Assert.False(panel.Machine.IsRaised);
        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Queue(1)], TimeSpan.Zero));
        Assert.Equal(InterruptSource.Configuration, transport.WaitForInterrupt([InterruptSource.Configuration, InterruptSource.Queue(0)], TimeSpan.Zero));
        Assert.Equal(InterruptSource.Queue(0), transport.WaitForInterrupt([InterruptSource.Configuration, InterruptSource.Queue(0)], TimeSpan.Zero));
        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Configuration, InterruptSource.Queue(0), InterruptSource.Queue(7)], TimeSpan.Zero));
        Assert.Equal(InterruptKind.Line, transport.UseInterrupts(2));
    }

    [Fact]
    public void A_reset_forgets_notifications_that_were_not_waited_for()
    {
        using var panel = new Panel();
        using MmioTransport transport = panel.Machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Console);
        session.EnableQueue(0);
        session.EnableQueue(1);
        panel.Machine.Function.RaiseInterrupt(InterruptStatus.UsedBuffer | InterruptStatus.ConfigurationChange);
        transport.WaitForInterrupt([InterruptSource.Queue(1)], TimeSpan.Zero);

        transport.WriteStatus(DeviceStatus.Reset);

        Assert.Equal(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Queue(0), InterruptSource.Configuration], TimeSpan.Zero));
    }

    [Fact]
    public void An_event_is_acknowledged_before_the_driver_looks_into_its_queue()
    {
        using var machine = new SoftwareMmio(new RngDevice());
        var window = new RewrittenWindow(machine);
        using MmioTransport transport = MmioTransport.Open(window, machine, machine.Dma);
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        DmaBuffer buffer = transport.Dma.Allocate(16);
        // The device uses a second buffer at the worst moment: when the first is about to be acknowledged.
        bool once = true;
        window.OnWrite = (register, value) =>
        {
            if (register != MmioRegister.InterruptAcknowledge || !once)
                return true;
            once = false;
            Assert.True(queue.TryAdd([], [buffer], out _));
            queue.Kick();
            return true;
        };
        Assert.True(queue.TryAdd([], [buffer], out _));
        queue.Kick();

        Assert.NotEqual(InterruptSource.None, transport.WaitForInterrupt([InterruptSource.Queue(0)], Patience));

        Assert.True(queue.TryGet(out _, out _));
        Assert.True(queue.TryGet(out _, out _)); // found without another interrupt
    }

    [Fact]
    [Proves("Notification without registers", "in-process MMIO")]
    public void A_notification_can_be_signalled_and_served_elsewhere()
    {
        using var machine = new SoftwareMmio(new RngDevice());
        int signals = 0;
        machine.Function.SetDoorbell(0, () => signals++);
        using MmioTransport transport = machine.Open();
        using DriverSession session = DriverSession.Open(transport, DeviceId.Entropy);
        DriverQueue queue = session.EnableQueue(0);
        session.Start();
        Assert.True(queue.TryAdd([], [transport.Dma.Allocate(16)], out _));
        queue.Kick();
        Assert.Equal(1, signals);
        Assert.False(queue.TryGet(out _, out _));

        machine.Function.Notify(0);

        Assert.True(queue.Wait(Patience, out _, out uint length));
        Assert.Equal(16u, length);
    }

    [Fact]
    [Proves("NOTIFICATION_DATA", "in-process MMIO")]
    public void Notification_data_names_the_queue_in_its_low_half_and_is_no_queue_without_the_feature()
    {
        using var panel = new Panel();
        int signals = 0;
        panel.Machine.Function.SetDoorbell(1, () => signals++);
        panel.Start();
        panel[MmioRegister.QueueNotify] = 0x0005_0001;
        Assert.Equal(0, signals);

        panel.Start(Features.NotificationData);
        panel[MmioRegister.QueueNotify] = 0x0005_0001;

        Assert.Equal(1, signals);
    }

    [Fact]
    public void The_driver_half_writes_the_index_or_notification_data_as_negotiated()
    {
        using var machine = new SoftwareMmio(new RngDevice());
        var window = new RewrittenWindow(machine);
        uint written = 0;
        window.OnWrite = (register, value) =>
        {
            if (register == MmioRegister.QueueNotify)
                written = value;
            return true;
        };
        using MmioTransport transport = MmioTransport.Open(window, machine, machine.Dma);

        transport.Notify(new QueueNotification(3, 0x8005));
        Assert.Equal(3u, written);
        transport.WriteDriverFeatures(Features.Version1 | Features.NotificationData);
        transport.Notify(new QueueNotification(3, 0x8005));
        Assert.Equal(0x8005_0003u, written);
        transport.WriteStatus(DeviceStatus.Reset);
        transport.Notify(new QueueNotification(3, 0x8005));

        Assert.Equal(3u, written);
    }
}
